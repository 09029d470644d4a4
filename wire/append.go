package wire

import (
	"strconv"

	"gatehouse/canon"
)

// The writers append one frame, with no line end, and return the longer slice. params, result and data must be JSON that
// we made or checked: they are spliced in as they are. One line of text stays one line, because canonical text has none.

// AppendRequest writes a request; params may be empty.
func AppendRequest[T ~string | ~[]byte](dst []byte, id ID, method string, params T) []byte {
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	dst = append(dst, id.String()...)
	return appendCall(dst, method, params)
}

// AppendNotification writes a notification; params may be empty.
func AppendNotification[T ~string | ~[]byte](dst []byte, method string, params T) []byte {
	return appendCall(append(dst, `{"jsonrpc":"2.0"`...), method, params)
}

func appendCall[T ~string | ~[]byte](dst []byte, method string, params T) []byte {
	dst = append(dst, `,"method":`...)
	dst = canon.AppendString(dst, method)
	if len(params) > 0 {
		dst = append(dst, `,"params":`...)
		dst = append(dst, params...)
	}
	return append(dst, '}')
}

// ResultFrame gives what stands before and behind a result in its response, for those who need not copy it.
func ResultFrame(id ID) (head, tail []byte) {
	head = append(make([]byte, 0, 64), `{"jsonrpc":"2.0","id":`...)
	head = append(append(head, id.String()...), `,"result":`...)
	return head, []byte{'}'}
}

// AppendResult writes a response; an empty result is written as {}.
func AppendResult[T ~string | ~[]byte](dst []byte, id ID, result T) []byte {
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	dst = append(dst, id.String()...)
	dst = append(dst, `,"result":`...)
	if len(result) == 0 {
		dst = append(dst, '{', '}')
	}
	dst = append(dst, result...)
	return append(dst, '}')
}

// AppendError writes an error response; the id is null if there is none.
func AppendError(dst []byte, id ID, e *Error) []byte {
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	dst = append(dst, id.String()...)
	dst = append(dst, `,"error":{"code":`...)
	dst = strconv.AppendInt(dst, int64(e.Code), 10)
	dst = append(dst, `,"message":`...)
	dst = canon.AppendString(dst, e.Message)
	if !e.Data.IsZero() {
		dst = append(dst, `,"data":`...)
		dst = e.Data.AppendTo(dst)
	}
	return append(dst, '}', '}')
}
