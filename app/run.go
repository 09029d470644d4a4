package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"gatehouse/entry/socket"
	"gatehouse/httpfront"
)

// lastAnswers is how long connections have to take the answers of calls that were told to end.
const lastAnswers = time.Second

// Run serves on the listener, on the operator's socket and, where one is configured, on the address of the metrics, and
// does the modules' jobs, until ctx ends. Then readyz fails, the listeners close, streams end with a reason, and calls
// under way have limits.drain; those that did not end by then are told to, and their rows say cancelled or unknown. It
// closes the listener.
func (a *App) Run(ctx context.Context, l net.Listener) error {
	_, server, endStreams, err := a.Handler(l.Addr().String())
	if err != nil {
		return errors.Join(err, l.Close())
	}
	figures, err := a.openFigures(ctx)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	control, err := socket.Listen(ctx, a.Gate, socket.Config{Data: a.file.Data, Log: a.log})
	if err != nil {
		return errors.Join(err, l.Close(), figures.close())
	}
	a.StartJobs(ctx)
	failed := make(chan error, 3)
	go func() { failed <- a.serve(server, l) }()
	go func() { failed <- control.Serve() }()
	if figures != nil {
		go func() { failed <- figures.serve() }()
	}
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	a.stopping.Store(true)
	return errors.Join(ignoreClosed(err), a.drain(ctx, server, endStreams, control), figures.close())
}

// serve speaks TLS where a certificate is configured.
func (a *App) serve(server *http.Server, l net.Listener) error {
	if a.cert == nil {
		return server.Serve(l)
	}
	server.TLSConfig = a.cert.config()
	return server.ServeTLS(l, "", "")
}

// drain ends everything in the order that loses least.
func (a *App) drain(ctx context.Context, server *http.Server, endStreams func() error, control *socket.Server) error {
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.file.Limits.Drain)
	defer cancel()
	down, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	stopped := make(chan error, 1)
	go func() { stopped <- server.Shutdown(down) }() // closes the listener at once, then waits
	ended := make(chan error, 1)
	go func() { ended <- endStreams() }() // waits for the calls of WebSockets, which the server does not know of
	err := control.Close()
	if left := a.Gate.Stop(drain); left > 0 {
		a.log.Error("some calls did not end; their rows will say unknown after the next start", "calls", left)
	}
	time.AfterFunc(lastAnswers, giveUp)
	if err := <-stopped; err != nil && !errors.Is(err, context.Canceled) {
		a.log.Warn("some connections did not end in time", "error", err)
	}
	return errors.Join(err, <-ended, ignoreClosed(server.Close()))
}

// figureServer serves the metrics on an address of their own.
type figureServer struct {
	server   *http.Server
	listener net.Listener
}

// openFigures opens the address of the metrics; nil where none is configured. Whoever reaches it reads them, so its Host
// is checked like that of every server: pages of strangers do not reach it through a name of theirs.
func (a *App) openFigures(ctx context.Context) (*figureServer, error) {
	if a.file.Metrics.Listen == "" {
		return nil, nil //nolint:nilnil // none is configured
	}
	l, err := a.ListenAt(ctx, a.file.Metrics.Listen)
	if err != nil {
		return nil, fmt.Errorf("opening the address of the metrics: %w", err)
	}
	front, err := httpfront.New(httpfront.Config{Listen: l.Addr().String(), AllowedHosts: a.file.AllowedHosts, Log: a.log})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.figures.Handler())
	a.log.Info("the metrics have an address of their own", "address", l.Addr().String())
	return &figureServer{front.Server(front.Wrap(mux)), l}, nil
}

func (s *figureServer) serve() error { return s.server.Serve(s.listener) }

func (s *figureServer) close() error {
	if s == nil {
		return nil
	}
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return ignoreClosed(s.server.Close())
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
