package egress

// Check decides on one resolved address, as it does when that is dialled.
func (e *Egress) Check(to Allow, network, address string) error { return e.check(to, network, address) }
