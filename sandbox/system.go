package sandbox

// What every confined program may read, as far as it exists. Nothing here may hold people's data or secrets: of /etc only
// what libraries read, of /proc and /sys only what tells about the machine (and, in main_linux.go, the program itself).
var (
	systemFolders = []string{
		"/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin", "/usr", "/nix/store", "/gnu/store",
		"/etc/alternatives", "/etc/ca-certificates", "/etc/crypto-policies", "/etc/fonts", "/etc/ld.so.conf.d", "/etc/pki/ca-trust",
		"/etc/pki/tls/certs", "/etc/ssl/certs", "/etc/terminfo", "/etc/static/ssl/certs", "/var/lib/ca-certificates",
		"/run/resolvconf", "/run/systemd/resolve", "/sys/devices/system/cpu", "/sys/fs/cgroup",
	}
	systemFiles = []string{
		"/etc/bindresvport.blacklist", "/etc/debian_version", "/etc/gai.conf", "/etc/group", "/etc/host.conf", "/etc/hostname", "/etc/hosts",
		"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/locale.alias", "/etc/localtime", "/etc/mime.types", "/etc/nsswitch.conf",
		"/etc/os-release", "/etc/passwd", "/etc/pki/tls/cert.pem", "/etc/pki/tls/openssl.cnf", "/etc/protocols", "/etc/resolv.conf",
		"/etc/services", "/etc/ssl/cert.pem", "/etc/ssl/openssl.cnf", "/etc/timezone",
		"/dev/full", "/dev/random", "/dev/urandom", "/dev/zero",
		"/proc/cpuinfo", "/proc/filesystems", "/proc/loadavg", "/proc/meminfo", "/proc/stat", "/proc/sys/kernel/osrelease",
		"/proc/sys/kernel/pid_max", "/proc/sys/kernel/random/boot_id", "/proc/sys/kernel/random/uuid", "/proc/sys/net/core/somaxconn",
		"/proc/sys/vm/max_map_count", "/proc/sys/vm/overcommit_memory", "/proc/uptime", "/proc/version",
	}
	systemWritable = []string{"/dev/null"}
)

// ofSystem reports whether every program may read a real path.
func ofSystem(path string) bool {
	for _, dir := range systemFolders {
		if within(real(dir), path) {
			return true
		}
	}
	return false
}
