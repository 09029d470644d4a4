package paths

import (
	"slices"
	"strings"
)

// root is a folder, as the system it lies on reads paths. Which system that is shows in the root itself, so that the guard
// judges the same everywhere.
type root struct {
	text    string
	windows bool
	volume  string   // Windows: "c:" or `\\server\share`, in lower case
	parts   []string // folded
}

func parseRoot(text string) root {
	r := root{text: text, windows: drive.MatchString(text) || strings.HasPrefix(text, `\\`)}
	rest := text
	if r.windows {
		r.volume, rest = volume(text)
	}
	r.parts, _ = r.walk(nil, r.split(rest))
	return r
}

// volume takes the drive or the share off a Windows path.
func volume(text string) (volume, rest string) {
	slashed := strings.ReplaceAll(text, "/", `\`)
	if strings.HasPrefix(slashed, `\\`) {
		parts := strings.SplitN(slashed[2:], `\`, 3)
		if len(parts) < 2 {
			return strings.ToLower(slashed), ""
		}
		volume = `\\` + parts[0] + `\` + parts[1]
		return strings.ToLower(volume), text[len(volume):]
	}
	if len(text) >= 2 && text[1] == ':' {
		return strings.ToLower(text[:2]), text[2:]
	}
	return "", text
}

// split gives the parts of a path.
func (r root) split(path string) []string {
	if r.windows {
		path = strings.ReplaceAll(path, `\`, "/")
	}
	return strings.Split(path, "/")
}

// walk goes along parts from a place. Above the top there is only the top, as systems have it. It fails at a part that is
// no plain name on Windows: a device, a stream.
func (r root) walk(from, parts []string) (to []string, ok bool) {
	to = slices.Clone(from)
	for _, p := range parts {
		if r.windows {
			if p, ok = windowsName(p); !ok {
				return nil, false
			}
		}
		switch p {
		case "", ".":
		case "..":
			to = to[:max(0, len(to)-1)]
		default:
			to = append(to, p)
		}
	}
	return to, true
}

// contains reports whether a path lies in the root, by its letters alone. A relative one starts in the root.
func (r root) contains(path string) bool {
	var from []string
	switch {
	case !r.windows && strings.HasPrefix(path, "/"):
	case !r.windows:
		from = r.parts
	default:
		v, rest := volume(path)
		if v != "" && v != r.volume {
			return false
		}
		if v == "" && !strings.HasPrefix(rest, "/") && !strings.HasPrefix(rest, `\`) {
			from = r.parts
		} else if v != "" && rest != "" && rest[0] != '/' && rest[0] != '\\' || v != "" && rest == "" {
			return false // C:name is relative to a folder that only the receiver knows
		}
		path = rest
	}
	place, ok := r.walk(from, r.split(path))
	return ok && len(place) >= len(r.parts) && slices.Equal(place[:len(r.parts)], r.parts)
}

// holds reports whether the place to which a path leads with its links followed lies in the root. It goes part by part,
// because link/.. is not where link lies but above where it leads. A link that cannot be followed leads nowhere good.
func (r root) holds(path string, resolve func(string) (string, error)) bool {
	separator := "/"
	if r.windows {
		separator = `\`
	}
	base, err := resolve(r.text)
	if err != nil {
		return false
	}
	at, rest := base, path
	if r.absolute(path) {
		v := ""
		if r.windows {
			if v, rest = volume(path); v == "" {
				v = r.volume
			}
		}
		at = v + separator
	}
	for _, p := range r.split(rest) {
		switch p {
		case "", ".":
		case "..":
			at = parent(at, separator)
		default:
			if at, err = resolve(strings.TrimSuffix(at, separator) + separator + p); err != nil {
				return false
			}
		}
	}
	return parseRoot(base).contains(at)
}

func (r root) absolute(path string) bool {
	if !r.windows {
		return strings.HasPrefix(path, "/")
	}
	v, rest := volume(path)
	return v != "" || strings.HasPrefix(rest, "/") || strings.HasPrefix(rest, `\`)
}

func parent(path, separator string) string {
	i := strings.LastIndex(path, separator)
	if i <= 0 {
		return separator
	}
	return path[:i]
}

// windowsName gives a part as Windows understands it: without case, without dots and spaces at its end. Devices and
// streams are no names: https://learn.microsoft.com/windows/win32/fileio/naming-a-file.
func windowsName(part string) (name string, ok bool) {
	name = strings.ToLower(part)
	trimmed := strings.TrimRight(name, ". ")
	if trimmed == "" {
		if dots := strings.Count(name, "."); dots >= 2 {
			return "..", true
		}
		return "", true
	}
	stem, _, _ := strings.Cut(trimmed, ".")
	stem = strings.TrimRight(stem, " ")
	if strings.ContainsAny(trimmed, `:*?"<>|`) || slices.Contains(devices, stem) {
		return "", false
	}
	return trimmed, true
}

var devices = []string{
	"aux", "con", "nul", "prn", "conin$", "conout$",
	"com0", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "com¹", "com²", "com³",
	"lpt0", "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9", "lpt¹", "lpt²", "lpt³",
}
