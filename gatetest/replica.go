package gatetest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
)

// inTurn gives the replicas one after the other, those that were stopped left out.
func (h *House) inTurn() *House {
	all := h.Replicas()
	for range all {
		if next := all[int(h.turn.Add(1))%len(all)]; next.running {
			return next
		}
	}
	return h
}

// Replicas gives every gateway of the house as one of its own: what is sent or called there does not go to another. Only
// the house itself stops and starts them. After [House.Restart] they are others.
func (h *House) Replicas() []*House {
	if h.robin == nil {
		return []*House{h}
	}
	return append([]*House{h.alone}, h.others...)
}

// RoundRobin is what stands before the replicas; nil where there are none.
func (h *House) RoundRobin() *RoundRobin { return h.robin }

// openOthers starts the replicas beyond the first, and lets HTTP go through the round robin.
func (h *House) openOthers() error {
	if h.others == nil {
		for i := 1; i < h.config.Replicas; i++ {
			other, err := h.replica(i)
			if err != nil {
				return fmt.Errorf("making replica %d: %w", i, err)
			}
			h.others = append(h.others, other)
		}
	}
	h.alone = &House{
		T: h.T, App: h.App, Gate: h.Gate, Data: h.Data, Dir: h.Dir, config: h.config, running: true, file: h.file, operator: h.operator,
		client: h.client, ids: map[int]bool{}, sessions: map[string]string{}, sockets: map[string]*socket{},
	}
	h.robin.Back(0, h.listener.dial)
	for i, other := range h.others {
		if err := other.open(); err != nil {
			return fmt.Errorf("starting replica %d: %w", i+1, err)
		}
		h.robin.Back(i+1, other.listener.dial)
	}
	address := h.robin.Address()
	h.client = &http.Client{
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		}},
		CheckRedirect: h.client.CheckRedirect,
	}
	return nil
}

// replica is a house that is configured as this one, with a data folder of its own and the same keys, as an operator would
// copy them.
func (h *House) replica(number int) (*House, error) {
	r := &House{
		T: h.T, Dir: h.Dir, Data: filepath.Join(h.Dir, fmt.Sprintf("data%d", number+1)), config: h.config, file: h.file, ids: map[int]bool{},
	}
	r.config.Replicas, r.file.Data = 1, r.Data
	keys := filepath.Join(r.Data, "keys")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		return nil, err
	}
	for _, name := range []string{"master.json", "audit.json"} {
		b, err := os.ReadFile(filepath.Join(h.Data, "keys", name))
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(keys, name), b, 0o600); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// StopReplica ends one replica as the end of serve would; 0 is the first. The round robin leaves it out at once.
func (h *House) StopReplica(number int) {
	h.T.Helper()
	if h.robin != nil {
		h.robin.Away(number)
	}
	if number == 0 {
		h.closeOne()
	} else {
		h.others[number-1].closeOne()
	}
}
