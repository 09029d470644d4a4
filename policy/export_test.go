package policy

// Domain and Host open the functions of conditions.
var (
	Domain = domain
	Host   = host
)
