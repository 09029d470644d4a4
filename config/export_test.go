package config

// Parse is Load on a text, with the name and the folder that a file would have.
func Parse(name, dir string, text []byte) (File, error) {
	return parse(source{name: name, dir: dir}, text)
}

// ParseDuration and ParsePrefix are how the decoder reads lengths of time and networks.
var (
	ParseDuration = parseDuration
	ParsePrefix   = parsePrefix
)

// Distance is what the hints go by.
var Distance = distance
