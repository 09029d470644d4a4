package mcp

import (
	"strconv"

	"gatehouse/gate"
	"gatehouse/wire"
)

// appendProgress writes a notifications/progress for the token under which a client wants to hear of a call.
func appendProgress(dst []byte, token wire.ID, p gate.Progress) []byte {
	params := []byte{'{'}
	if p.Message != "" {
		params = append(appendString(append(params, `"message":`...), p.Message), ',')
	}
	params = strconv.AppendFloat(append(params, `"progress":`...), p.Done, 'g', -1, 64)
	params = append(append(params, `,"progressToken":`...), token.String()...)
	if p.Total > 0 {
		params = strconv.AppendFloat(append(params, `,"total":`...), p.Total, 'g', -1, 64)
	}
	return wire.AppendNotification(dst, "notifications/progress", append(params, '}'))
}

// newest gives a channel that holds the last word of a call's progress that nobody has taken yet, and what puts it there
// without waiting.
func newest() (words chan gate.Progress, tell func(gate.Progress)) {
	words = make(chan gate.Progress, 1)
	return words, func(p gate.Progress) {
		select {
		case <-words: // nobody reads it any more
		default:
		}
		words <- p // there is room: the gate tells one at a time
	}
}
