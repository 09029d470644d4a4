package config

// Parse is Load on a text, with the name and the folder that a file would have.
func Parse(name, dir string, text []byte) (File, error) {
	return parse(source{name: name, dir: dir}, text)
}

// ParsePrefix is how the decoder reads networks.
var ParsePrefix = parsePrefix

// Anywhere is a file without the place where it lay.
func (f File) Anywhere() File {
	f.path = ""
	return f
}

// Distance is what the hints go by.
var Distance = distance
