package telemetry

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"gatehouse/gate"
	"gatehouse/outcome"
)

// spans makes one span of each call, in the client's trace where it named one, and sends them in batches. When the
// collector is slow or away spans are dropped: a call never waits for it.
type spans struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

func newSpans(c Config) (*spans, error) {
	to, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("reading the endpoint of OTLP: %w", err)
	}
	if strings.Trim(to.Path, "/") == "" {
		to.Path = "/v1/traces" // as the specification has it for an endpoint without a path
	}
	exporter := otlptracehttp.NewUnstarted(otlptracehttp.WithEndpointURL(to.String()), otlptracehttp.WithHTTPClient(c.Client))
	if err := exporter.Start(context.Background()); err != nil {
		return nil, fmt.Errorf("starting OTLP: %w", err)
	}
	p := sdk.NewTracerProvider(
		sdk.WithBatcher(exporter),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "gatehouse"), attribute.String("service.version", c.Version),
		)),
	)
	return &spans{p, p.Tracer("gatehouse")}, nil
}

// add makes the span of a call that has ended already.
func (s *spans) add(e gate.Ended) {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": e.Trace})
	name := "tools/call"
	if e.Tool != "" {
		name += " " + string(e.Tool)
	}
	_, span := s.tracer.Start(ctx, name, trace.WithTimestamp(e.Began), trace.WithSpanKind(trace.SpanKindServer))
	span.SetAttributes(
		attribute.String("gen_ai.operation.name", "execute_tool"), attribute.String("gen_ai.tool.name", string(e.Tool)),
		attribute.String("gatehouse.entry", e.Entry), attribute.String("gatehouse.outcome", e.Code.String()),
	)
	if !e.Row.IsZero() {
		span.SetAttributes(attribute.String("gatehouse.row", e.Row.String()))
	}
	if e.Code != outcome.OK {
		span.SetStatus(codes.Error, e.Code.String())
	}
	span.End(trace.WithTimestamp(e.Began.Add(e.Took)))
}

func (s *spans) close(ctx context.Context) error { return s.provider.Shutdown(ctx) }
