// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/grpc"

	"github.com/fairlead-go/fairlead/ctxutil"
)

// WithOTelGRPC leaves the spans to otelgrpc, for those who have it already, or
// need one of its options. [ServerOptions] and [DialOptions] then install its
// stats handlers too, with the Recorder's tracer provider and its rules of
// identity and egress; opts come after these and win. A chain put together by
// hand takes up the spans of the stats handlers that the server or connection
// was given otherwise.
//
// Metrics and the request log stay as they are, so otelgrpc's metrics are off
// unless opts have [otelgrpc.WithMeterProvider]. The default, without this
// option, is that the record makes its own spans, with a third of the allocations.
//
// What is different: a client's span is made below its record, out of its
// sight, so log line and exemplars of a client's call have the ids of the
// caller's span; every attempt has a span, and a call as such has none; a span
// and its log line read the clock each for themselves; calls to unknown methods
// have what the peer sent as the span's name; spans do not have
// network.peer.address, nor error.type.
func WithOTelGRPC(opts ...otelgrpc.Option) RecordOption {
	return recordOption(func(i *Recording) {
		i.adopt = true
		i.otel = append(i.otel, opts...)
	})
}

// otelOptions are the options of otelgrpc on both sides.
func (i *Recording) otelOptions() []otelgrpc.Option {
	return append([]otelgrpc.Option{
		otelgrpc.WithTracerProvider(i.recorder.TracerProvider()),
		otelgrpc.WithPropagators(i.recorder.Propagator()),
		otelgrpc.WithMeterProvider(noop.NewMeterProvider()),
	}, i.otel...)
}

// otelServer returns what a server needs for interceptors among which one
// leaves its spans to otelgrpc.
func otelServer(is []ServerInterceptor) []grpc.ServerOption {
	for _, i := range is {
		if r, ok := i.(*Recording); ok && r.adopt {
			opts := r.otelOptions()
			if r.recorder.Ingress() == ctxutil.Public {
				opts = append([]otelgrpc.Option{otelgrpc.WithPublicEndpoint()}, opts...)
			}
			return []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler(opts...))}
		}
	}
	return nil
}

// otelClient is otelServer for connections.
func otelClient(is []ClientInterceptor) []grpc.DialOption {
	for _, i := range is {
		if r, ok := i.(*Recording); ok && r.adopt {
			return []grpc.DialOption{grpc.WithStatsHandler(otelgrpc.NewClientHandler(r.otelOptions()...))}
		}
	}
	return nil
}
