package gate

import (
	"fmt"

	"gatehouse/guard"
)

// ParseArgument makes the Argument of a tool that is known only at run time, of the words that struct tags use. An empty
// kind is text; an empty carries is nothing for tools that read, else content. The empty pointer is all arguments.
func ParseArgument(pointer, kind, carries string, effect Effect) (Argument, error) {
	a := Argument{Pointer: pointer}
	var err error
	if kind != "" {
		if a.Kind, err = guard.ParseKind(kind); err != nil {
			return Argument{}, fmt.Errorf("argument %q: %w", pointer, err)
		}
	}
	if a.Carries, err = parseCarries(carries, effect); err != nil {
		return Argument{}, fmt.Errorf("argument %q: %w", pointer, err)
	}
	return a, nil
}
