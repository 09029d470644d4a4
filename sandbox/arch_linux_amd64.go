package sandbox

import "golang.org/x/sys/unix"

const (
	auditArch    = uint32(unix.AUDIT_ARCH_X86_64)
	foreignCalls = uint32(1 << 30) // from here on calls of the x32 kind
)
