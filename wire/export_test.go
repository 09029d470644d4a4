package wire

// Cap is how much of a line is kept now.
func (l *Lines) Cap() int { return cap(l.buf) }
