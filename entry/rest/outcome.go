package rest

import (
	"net/http"

	"gatehouse/outcome"
)

// translation is what one code is in HTTP.
type translation struct {
	status int
	title  string
}

// translate is the table of this entry: one row for each code. Nothing else in this package chooses a status for a call.
func translate(c outcome.Code) translation {
	switch c {
	case outcome.OK:
		return translation{http.StatusOK, "Done"}
	case outcome.Pending: // with Location, as soon as something can be approved; until then no call ends so
		return translation{http.StatusAccepted, "Waiting for a human"}
	case outcome.Input:
		return translation{http.StatusConflict, "A question must be answered first"}
	case outcome.Unauthenticated:
		return translation{http.StatusUnauthorized, "Not authenticated"}
	case outcome.NotAllowed:
		return translation{http.StatusForbidden, "Not allowed"}
	case outcome.Invalid:
		return translation{http.StatusBadRequest, "Not valid"}
	case outcome.Blocked:
		return translation{http.StatusUnprocessableEntity, "Blocked by a guard"}
	case outcome.Denied:
		return translation{http.StatusForbidden, "Denied"}
	case outcome.Expired:
		return translation{http.StatusForbidden, "Nobody decided in time"}
	case outcome.Invalidated:
		return translation{http.StatusConflict, "No longer what was approved"}
	case outcome.Limited:
		return translation{http.StatusTooManyRequests, "Limit reached"}
	case outcome.Conflict:
		return translation{http.StatusConflict, "Changed by someone else"}
	case outcome.NotFound:
		return translation{http.StatusNotFound, "Not found"}
	case outcome.Upstream:
		return translation{http.StatusBadGateway, "The downstream system failed"}
	case outcome.Timeout:
		return translation{http.StatusGatewayTimeout, "It took too long"}
	case outcome.Cancelled:
		return translation{http.StatusConflict, "Withdrawn"}
	case outcome.Unavailable:
		return translation{http.StatusServiceUnavailable, "Not available now"}
	case outcome.Unknown:
		return translation{http.StatusBadGateway, "It may have happened"}
	case outcome.Internal:
	}
	return translation{http.StatusInternalServerError, "Something of ours broke"}
}
