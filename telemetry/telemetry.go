// Package telemetry turns calls that ended into figures: metrics for Prometheus to fetch and, where an endpoint is
// configured, spans sent over OTLP. It must never hold a person, a token, an argument, a result or a permission key, and it
// must never send anything that the configuration did not ask for (P11).
//
// Labels come from the gate alone: a tool that does not exist has the empty name, so that nobody can fill the memory with
// names. A [Telemetry] may be used from any goroutine.
//
// Sources: Prometheus text exposition format 0.0.4; OpenTelemetry protocol over HTTP; W3C Trace Context; the semantic
// conventions of OpenTelemetry for MCP.
package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"

	"gatehouse/gate"
	"gatehouse/outcome"
)

// Config says what is measured and where spans go.
type Config struct {
	Version string
	Log     *slog.Logger                // nil: slog.Default
	Running func() int                  // calls under way
	Ready   func(context.Context) error // why calls cannot be taken, or nil
	CertEnd func() time.Time            // when the certificate of TLS ends; nil: there is none

	Endpoint string       // where spans go, as http://127.0.0.1:4318; empty: nowhere
	Client   *http.Client // reaches Endpoint and nothing else
}

// Telemetry counts.
type Telemetry struct {
	registry *prometheus.Registry
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	series   sync.Map // of kind to *figures: what each call adds to, looked up once
	spans    *spans   // nil: none
}

// kind tells calls apart whose figures are apart.
type kind struct {
	tool  gate.ToolName
	entry string
	code  outcome.Code
}

type figures struct {
	calls   prometheus.Counter
	seconds prometheus.Observer
}

// readyWithin bounds what a fetch of the metrics waits for.
const readyWithin = 2 * time.Second

// New makes the registry; nothing is sent before the first call ends.
func New(c Config) (*Telemetry, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	t := &Telemetry{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_calls_total", Help: "Calls that ended, by tool (empty: no such tool), entry and outcome.",
		}, []string{"tool", "entry", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gatehouse_call_seconds", Help: "How long calls took, from the door to their durable row.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"tool", "entry"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "gatehouse_build_info", Help: "Always 1; the labels say which gatehouse this is.",
		ConstLabels: prometheus.Labels{"version": c.Version, "go": runtime.Version()},
	})
	build.Set(1)
	gauges := []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), t.calls, t.seconds, build,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "gatehouse_calls_running", Help: "Calls under way."},
			func() float64 { return float64(c.Running()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "gatehouse_ready", Help: "1 if calls can be taken, as /readyz says."}, func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
			defer cancel()
			if c.Ready(ctx) != nil {
				return 0
			}
			return 1
		}),
	}
	if c.CertEnd != nil {
		gauges = append(gauges, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gatehouse_tls_certificate_end_timestamp_seconds", Help: "When the certificate in use ends.",
		}, func() float64 { return float64(c.CertEnd().Unix()) }))
	}
	for _, g := range gauges {
		if err := t.registry.Register(g); err != nil {
			return nil, fmt.Errorf("making the metrics: %w", err)
		}
	}
	if c.Endpoint != "" {
		var err error
		if t.spans, err = newSpans(c); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Ended counts a call. It never waits.
func (t *Telemetry) Ended(e gate.Ended) {
	k := kind{e.Tool, e.Entry, e.Code}
	found, ok := t.series.Load(k)
	if !ok {
		found, _ = t.series.LoadOrStore(k, &figures{
			t.calls.WithLabelValues(string(k.tool), k.entry, k.code.String()), t.seconds.WithLabelValues(string(k.tool), k.entry),
		})
	}
	f := found.(*figures) //nolint:forcetypeassert // series holds nothing else
	f.calls.Inc()
	f.seconds.Observe(e.Took.Seconds())
	if t.spans != nil {
		t.spans.add(e)
	}
}

// Handler serves the metrics to Prometheus.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// Text gives the metrics as Prometheus reads them.
func (t *Telemetry) Text() (string, error) {
	families, err := t.registry.Gather()
	if err != nil {
		return "", fmt.Errorf("gathering the metrics: %w", err)
	}
	var text bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			return "", fmt.Errorf("writing the metrics: %w", err)
		}
	}
	return text.String(), nil
}

// Close sends the spans that are left, for as long as ctx allows.
func (t *Telemetry) Close(ctx context.Context) error {
	if t.spans == nil {
		return nil
	}
	if err := t.spans.close(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("sending the last spans: %w", err)
	}
	return nil
}
