// Ask a server as the AI SDK and LangChain do; one line of JSON an answer.
import { createOpenAI } from "@ai-sdk/openai";
import { DallEAPIWrapper } from "@langchain/openai";
import * as ai from "ai";

const baseURL = process.argv[2] + "/v1";
const generate = ai.generateImage ?? ai.experimental_generateImage;
const model = createOpenAI({ baseURL, apiKey: "unused" }).image("dall-e-3");
const { images } = await generate({ model, prompt: "a ship", n: 2, size: "1024x1024" });
console.log(JSON.stringify(images.map((image) => image.base64)));

const tool = new DallEAPIWrapper({ model: "dall-e-3", apiKey: "unused", baseUrl: baseURL });
console.log(JSON.stringify(await tool.invoke("a ship")));
