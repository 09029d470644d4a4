package config

import (
	"cmp"
	"os"
)

const (
	dataVariable = "GATEHOUSE_DATA"
	defaultData  = "./data"
)

// DataDir gives the data folder for a command that reads no file: the flag, else GATEHOUSE_DATA, else ./data.
func DataDir(flag string) string {
	return cmp.Or(flag, os.Getenv(dataVariable), defaultData)
}

// ChildEnvironment gives what a program that we start may inherit, as NAME=value: PATH and LANG, if they are set, and
// nothing else. Whatever more it gets stands in its configuration.
func ChildEnvironment() []string {
	var inherited []string
	for _, name := range []string{"PATH", "LANG"} {
		if value, ok := os.LookupEnv(name); ok {
			inherited = append(inherited, name+"="+value)
		}
	}
	return inherited
}
