package store

import (
	"context"
	"errors"
)

func openPostgres(_ context.Context, _ Config) (backend, error) {
	return nil, errors.New("not yet")
}
