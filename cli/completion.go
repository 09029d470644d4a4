package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCommand prints what a shell needs to complete commands and flags.
type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"For which shell: bash, zsh or fish."`
}

// Run implements the command. The words come from the command line's own model.
func (c *completionCommand) Run(r *run, app *kong.Kong) error {
	if r.flags.JSON {
		return wrong("a shell reads no JSON")
	}
	all := places(app.Model.Node, "")
	text := ""
	switch c.Shell {
	case "bash":
		text = bashCompletion(all)
	case "zsh":
		text = zshCompletion(all)
	case "fish":
		text = fishCompletion(all)
	}
	_, err := fmt.Fprint(r.out, text)
	return err
}

// place is somewhere on the command line, after some commands.
type place struct {
	path  string // "/token/issue"; empty at the beginning
	words []word
}

// word is one that may come there.
type word struct {
	text  string // issue, --tools
	help  string
	value bool     // a flag that is followed by a value
	enum  []string // the values that it may have, if they are few
	names bool     // a command
}

// places lists where one may be, the commands that are hidden left out.
func places(n *kong.Node, path string) []place {
	here := place{path: path}
	var below []place
	for _, child := range n.Children {
		if child.Hidden || child.Type != kong.CommandNode {
			continue
		}
		here.words = append(here.words, word{text: child.Name, help: child.Help, names: true})
		below = append(below, places(child, path+"/"+child.Name)...)
	}
	for _, p := range n.Positional {
		for _, e := range enumOf(p) {
			here.words = append(here.words, word{text: e})
		}
	}
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			w := word{text: "--" + f.Name, help: f.Help, value: !f.IsBool() && !f.IsCounter()}
			w.enum = enumOf(f.Value)
			here.words = append(here.words, w)
		}
	}
	return append([]place{here}, below...)
}

func enumOf(v *kong.Value) (all []string) {
	for _, e := range v.EnumSlice() {
		if e != "" {
			all = append(all, e)
		}
	}
	return all
}

// walk is how bash and zsh find out where they are: it goes through the words before the one that is completed. place is
// then the commands, and before the flag whose value comes, or empty.
const walk = `  local place= before= word
  for word in "${words_before[@]}"; do
    if [[ -n $before ]]; then before=; continue; fi
    case "$place $word" in
%s      *" --"*) ;;
%s    esac
  done
`

// cases are the patterns of walk: flags with a value, and commands.
func cases(all []place) string {
	var flags, commands []string
	for _, p := range all {
		for _, w := range p.words {
			if w.value {
				flags = append(flags, fmt.Sprintf("%q", p.path+" "+w.text))
			}
			if w.names {
				commands = append(commands, fmt.Sprintf("%q", p.path+" "+w.text))
			}
		}
	}
	return fmt.Sprintf(walk, "      "+strings.Join(flags, "|")+") before=$word ;;\n",
		"      "+strings.Join(commands, "|")+") place=$place/$word ;;\n")
}

// candidates is a case statement that sets found to the words that may come.
func candidates(all []place) string {
	var b strings.Builder
	b.WriteString("  case \"$place $before\" in\n")
	for _, p := range all {
		var words []string
		for _, w := range p.words {
			words = append(words, w.text)
			if len(w.enum) > 0 {
				fmt.Fprintf(&b, "    %q) found=(%s) ;;\n", p.path+" "+w.text, strings.Join(w.enum, " "))
			}
		}
		fmt.Fprintf(&b, "    %q) found=(%s) ;;\n", p.path+" ", strings.Join(words, " "))
	}
	return b.String() + "  esac\n"
}

func bashCompletion(all []place) string {
	return "# gatehouse completion for bash: source this file.\n_gatehouse() {\n" +
		"  local words_before=(\"${COMP_WORDS[@]:1:COMP_CWORD-1}\") found=()\n" + cases(all) + candidates(all) +
		"  COMPREPLY=($(compgen -W \"${found[*]}\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\n" +
		"complete -o default -F _gatehouse gatehouse\n"
}

func zshCompletion(all []place) string {
	return "#compdef gatehouse\n# gatehouse completion for zsh: put this file as _gatehouse into a folder of fpath, or source it after compinit.\n" +
		"_gatehouse() {\n  local -a words_before found\n  words_before=(\"${(@)words[2,CURRENT-1]}\")\n" + cases(all) + candidates(all) +
		"  if (( $#found )); then compadd -- $found; else _files; fi\n}\n" +
		"if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _gatehouse \"$@\"; else compdef _gatehouse gatehouse; fi\n"
}

func fishCompletion(all []place) string {
	var b strings.Builder
	b.WriteString(`# gatehouse completion for fish: put this file into ~/.config/fish/completions, or source it.
function __gatehouse_at
    set -l place ''
    set -l before ''
    for word in (commandline -opc)[2..-1]
        if test -n "$before"
            set before ''
            continue
        end
        switch "$place $word"
`)
	var flags, commands []string
	for _, p := range all {
		for _, w := range p.words {
			if w.value {
				flags = append(flags, fishQuote(p.path+" "+w.text))
			}
			if w.names {
				commands = append(commands, fishQuote(p.path+" "+w.text))
			}
		}
	}
	slices.Sort(flags)
	fmt.Fprintf(&b, "            case %s\n                set before $word\n            case %s\n                set place $place/$word\n",
		strings.Join(flags, " "), strings.Join(commands, " "))
	b.WriteString("        end\n    end\n    test \"$place$before\" = \"$argv[1]\"\nend\n")
	for _, p := range all {
		at := fishQuote("__gatehouse_at '" + p.path + "'")
		for _, w := range p.words {
			if name, flag := strings.CutPrefix(w.text, "--"); flag {
				more := ""
				switch {
				case len(w.enum) > 0:
					more = " -x -a " + fishQuote(strings.Join(w.enum, " "))
				case w.value:
					more = " -r"
				}
				fmt.Fprintf(&b, "complete -c gatehouse -n %s -l %s%s -d %s\n", at, name, more, fishQuote(w.help))
				continue
			}
			fmt.Fprintf(&b, "complete -c gatehouse -n %s -f -a %s -d %s\n", at, fishQuote(w.text), fishQuote(w.help))
		}
	}
	return b.String()
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
