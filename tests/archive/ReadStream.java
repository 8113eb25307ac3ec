import java.util.zip.ZipInputStream;

/** Reads an archive from standard input; prints members and bytes of data. */
class ReadStream {
    public static void main(String[] arguments) throws Exception {
        long members = 0, bytes = 0;
        byte[] block = new byte[1 << 16];
        try (var archive = new ZipInputStream(System.in)) {
            while (archive.getNextEntry() != null) {
                members++;
                for (int n; (n = archive.read(block)) > 0; ) bytes += n;
            }
        }
        System.out.println(members + " " + bytes);
    }
}
