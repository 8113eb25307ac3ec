# Prints what zsh offers for a line: `zsh -f FILE FUNCTIONS LINE DUMP`.
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PROMPT= RPROMPT=; fpath=($1 \$fpath); stty -echo
autoload -Uz compinit; compinit -u -d $3"
# Whatever would be listed is written, each between < and >.
zpty -w shell 'compadd () {
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
  typeset -a offered
  builtin compadd -A offered "$@"
  (( $#offered )) && print -r -- "<${(j:><:)offered}>"
  return 1
}
offer () { zle list-choices; print "<END>" }
zle -N offer
bindkey "^X" offer
print "<READY"">"'
while zpty -r shell said; do [[ $said == *"<READY>"* ]] && break; done
zpty -n -w shell "$2"$'\x18'
while zpty -r shell said; do print -r -- "$said"; [[ $said == *"<END>"* ]] && break; done
zpty -d shell
