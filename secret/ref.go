package secret

import "errors"

// ErrNoReference is what [Ref.Resolve] answers when nothing was referred to.
var ErrNoReference = errors.New("no secret is configured here")

// Ref is a reference to a secret that somebody else can read: a module's Config holds one where the configuration says
// {env: NAME}, {file: PATH} or {credential: NAME}. The module calls [Ref.Resolve] when it needs the value, and keeps
// neither. How to read is put in by the room config, the only one that looks at the environment and at files of secrets.
// The zero value refers to nothing. A Ref may be used from any goroutine.
type Ref struct {
	name string
	read func() (Text, error)
}

// NewRef makes a reference. The name tells people where the value comes from ("environment variable CRM_DSN"); it must
// not hold the value. read may be called more than once, and from any goroutine.
func NewRef(name string, read func() (Text, error)) Ref {
	return Ref{name: name, read: read}
}

// IsZero reports whether the reference refers to nothing.
func (r Ref) IsZero() bool { return r.read == nil }

// String tells where the value comes from, never the value.
func (r Ref) String() string {
	if r.IsZero() {
		return "nothing"
	}
	return r.name
}

// Resolve reads the value now. Its errors name the reference, never the value.
func (r Ref) Resolve() (Text, error) {
	if r.IsZero() {
		return Text{}, ErrNoReference
	}
	return r.read()
}
