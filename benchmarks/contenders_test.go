// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"context"
	"io"
	"log/slog"
	"net/http"

	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	grpclog "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	grpcrecovery "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/logging"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
)

// bench is what a contender writes to.
type bench struct {
	provider *sdktrace.TracerProvider
	registry *prometheus.Registry
	logs     io.Writer
}

func newBench(sampler sdktrace.Sampler, p sdktrace.SpanProcessor, logs io.Writer) *bench {
	return &bench{
		provider: sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler), sdktrace.WithSpanProcessor(p)),
		registry: prometheus.NewRegistry(),
		logs:     logs,
	}
}

// discard is a span processor that keeps nothing.
type discard struct{}

func (discard) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (discard) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (discard) Shutdown(context.Context) error                  { return nil }
func (discard) ForceFlush(context.Context) error                { return nil }

// contender is a stack under measurement.
type contender struct {
	name   string
	grpc   func(*bench) ([]grpc.ServerOption, []grpc.DialOption)
	server func(*bench, http.Handler) http.Handler
}

var contenders = []contender{
	{"bare", func(*bench) ([]grpc.ServerOption, []grpc.DialOption) { return nil, nil },
		func(_ *bench, h http.Handler) http.Handler { return h }},
	{"usual", usualGRPC, usualHTTP},
	{"fairlead", fairleadGRPC, fairleadHTTP},
}

func (b *bench) recorder() *record.Recorder {
	set, err := metrics.New(b.registry)
	if err != nil {
		panic(err)
	}
	rec, err := record.New(
		record.WithTracerProvider(b.provider),
		record.WithMetrics(set),
		record.WithLogger(slog.New(logging.NewHandler(slog.NewJSONHandler(b.logs, nil)))))
	if err != nil {
		panic(err)
	}
	return rec
}

func fairleadGRPC(b *bench) ([]grpc.ServerOption, []grpc.DialOption) {
	rec := b.recorder()
	return interceptors.ServerOptions(interceptors.Record(rec), interceptors.Recovery()),
		interceptors.DialOptions(interceptors.Record(rec))
}

func fairleadHTTP(b *bench, h http.Handler) http.Handler {
	return httpmw.Chain(h, httpmw.Record(b.recorder()), httpmw.Recovery())
}

// usualGRPC is the stack as its own documentation wires it.
func usualGRPC(b *bench) ([]grpc.ServerOption, []grpc.DialOption) {
	exemplar := func(ctx context.Context) prometheus.Labels {
		if sc := trace.SpanContextFromContext(ctx); sc.IsSampled() {
			return prometheus.Labels{"trace_id": sc.TraceID().String()}
		}
		return nil
	}
	fields := func(ctx context.Context) grpclog.Fields {
		if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
			return grpclog.Fields{"trace_id", sc.TraceID().String()}
		}
		return nil
	}
	logger := slog.New(slog.NewJSONHandler(b.logs, nil))
	log := grpclog.LoggerFunc(func(ctx context.Context, l grpclog.Level, msg string, fields ...any) {
		logger.Log(ctx, slog.Level(l), msg, fields...)
	})
	logOpts := []grpclog.Option{grpclog.WithLogOnEvents(grpclog.FinishCall), grpclog.WithFieldsFromContext(fields)}
	server := grpcprom.NewServerMetrics(grpcprom.WithServerHandlingTimeHistogram())
	client := grpcprom.NewClientMetrics(grpcprom.WithClientHandlingTimeHistogram())
	b.registry.MustRegister(server, client)
	recovery := grpcrecovery.WithRecoveryHandler(func(any) error { return status.Error(codes.Internal, "internal error") })
	prop := otelgrpc.WithPropagators(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	tp := otelgrpc.WithTracerProvider(b.provider)
	return []grpc.ServerOption{
			grpc.StatsHandler(otelgrpc.NewServerHandler(tp, prop)),
			grpc.ChainUnaryInterceptor(
				server.UnaryServerInterceptor(grpcprom.WithExemplarFromContext(exemplar)),
				grpclog.UnaryServerInterceptor(log, logOpts...),
				grpcrecovery.UnaryServerInterceptor(recovery)),
			grpc.ChainStreamInterceptor(
				server.StreamServerInterceptor(grpcprom.WithExemplarFromContext(exemplar)),
				grpclog.StreamServerInterceptor(log, logOpts...),
				grpcrecovery.StreamServerInterceptor(recovery)),
		}, []grpc.DialOption{
			grpc.WithStatsHandler(otelgrpc.NewClientHandler(tp, prop)),
			grpc.WithChainUnaryInterceptor(client.UnaryClientInterceptor(grpcprom.WithExemplarFromContext(exemplar))),
			grpc.WithChainStreamInterceptor(client.StreamClientInterceptor(grpcprom.WithExemplarFromContext(exemplar))),
		}
}

// usualHTTP is the stack as its own documentation wires it.
func usualHTTP(b *bench, h http.Handler) http.Handler {
	exemplar := promhttp.WithExemplarFromContext(func(ctx context.Context) prometheus.Labels {
		if sc := trace.SpanContextFromContext(ctx); sc.IsSampled() {
			return prometheus.Labels{"trace_id": sc.TraceID().String()}
		}
		return nil
	})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "request_duration_seconds", Help: "Duration."}, []string{"code", "method"})
	count := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "requests_total", Help: "Requests."}, []string{"code", "method"})
	b.registry.MustRegister(duration, count)
	logger := slog.New(slog.NewJSONHandler(b.logs, nil))
	h = recoverHTTP(h)
	h = logHTTP(logger, h)
	h = promhttp.InstrumentHandlerDuration(duration, promhttp.InstrumentHandlerCounter(count, h, exemplar), exemplar)
	return otelhttp.NewHandler(h, "server",
		otelhttp.WithTracerProvider(b.provider),
		otelhttp.WithPropagators(propagation.TraceContext{}))
}

func recoverHTTP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				http.Error(w, "internal error", http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(code int) { w.status = code; w.ResponseWriter.WriteHeader(code) }

func logHTTP(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(sw, r)
		sc := trace.SpanContextFromContext(r.Context())
		logger.LogAttrs(r.Context(), slog.LevelInfo, "request",
			slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()),
			slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", sw.status))
	})
}
