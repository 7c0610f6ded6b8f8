// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"
	"fmt"
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/fairlead-go/fairlead/internal/semconv"
	"github.com/fairlead-go/fairlead/logging"
)

// DefaultMaxPayloadBytes bounds what [PayloadLog] shows of one message.
const DefaultMaxPayloadBytes = 4 << 10

// MessagePayload is the message of the lines that [PayloadLog] writes.
const MessagePayload = "rpc message"

// Payloads logs the messages of calls. Its methods are safe for concurrent use.
type Payloads struct {
	logger   *slog.Logger
	redactor *logging.Redactor
	maxBytes int
}

var (
	_ ServerInterceptor = (*Payloads)(nil)
	_ ClientInterceptor = (*Payloads)(nil)
)

// PayloadOption configures [PayloadLog].
type PayloadOption interface{ applyPayload(*Payloads) }

type payloadOption func(*Payloads)

func (f payloadOption) applyPayload(p *Payloads) { f(p) }

// WithPayloadRedactor sets which fields are secret, by their names. The
// default, and nil, is a Redactor with the default list of names.
func WithPayloadRedactor(r *logging.Redactor) PayloadOption {
	return payloadOption(func(p *Payloads) {
		if r != nil {
			p.redactor = r
		}
	})
}

// WithMaxPayloadBytes bounds what is shown of one message, in bytes of field
// names and text, a number counting as one; the rest is left out, and the line
// says truncated. Of a message more than 16 times as large on the wire nothing
// is shown but its type and size, and of none if n is 0 or less. The default is
// [DefaultMaxPayloadBytes].
func WithMaxPayloadBytes(n int) PayloadOption {
	return payloadOption(func(p *Payloads) { p.maxBytes = n })
}

// PayloadLog returns the interceptors that log the messages of calls, sent and
// received, at debug level: one line a message, with the fields of a protobuf
// message by their names in the .proto file, and of any other message its Go
// type alone. Nothing else in this package logs what is in a message.
//
// Secrets are redacted by the fields' names, whatever handler the logger has,
// and where the .proto file says debug_redact. What people wrote into a field
// with a harmless name is shown: this is for finding an error, not for keeping.
// To see the messages of one request only, ctxutil.SetLevel lets its debug
// lines through.
//
// It comes after [Record], so that lines have the call's ids. While debug lines
// are not logged it costs a look at the level for each message. It panics if l
// is nil.
func PayloadLog(l *slog.Logger, opts ...PayloadOption) *Payloads {
	if l == nil {
		panic("interceptors: PayloadLog: nil logger")
	}
	p := &Payloads{logger: l, maxBytes: DefaultMaxPayloadBytes}
	for _, o := range opts {
		o.applyPayload(p)
	}
	if p.redactor == nil {
		p.redactor, _ = logging.NewRedactor() // which fails for no options
	}
	return p
}

// UnaryServer returns the interceptor for unary calls served.
func (p *Payloads) UnaryServer() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		p.log(ctx, payloadSource{"server", info.FullMethod}, received, 0, req)
		resp, err := next(ctx, req)
		if err == nil {
			p.log(ctx, payloadSource{"server", info.FullMethod}, sent, 0, resp)
		}
		return resp, err
	}
}

// StreamServer returns the interceptor for streams served.
func (p *Payloads) StreamServer() grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		method := info.FullMethod
		if srv == nil { // the server has no such method: the name is the peer's text
			method = semconv.Other
		}
		return next(srv, &payloadServerStream{ServerStream: ss, log: p, source: payloadSource{"server", method}})
	}
}

// UnaryClient returns the interceptor for unary calls made.
func (p *Payloads) UnaryClient() grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		p.log(ctx, payloadSource{"client", method}, sent, 0, req)
		err := invoke(ctx, method, req, reply, cc, opts...)
		if err == nil {
			p.log(ctx, payloadSource{"client", method}, received, 0, reply)
		}
		return err
	}
}

// StreamClient returns the interceptor for streams opened.
func (p *Payloads) StreamClient() grpc.StreamClientInterceptor {
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		cs, err := open(ctx, desc, cc, method, opts...)
		if err != nil {
			return nil, err
		}
		return &payloadClientStream{ClientStream: cs, ctx: ctx, log: p, source: payloadSource{"client", method}}, nil
	}
}

// Directions of a message, seen from this process.
const (
	sent     = "sent"
	received = "received"
)

// payloadSource says whose message it is.
type payloadSource struct{ side, method string }

// log logs message n of a stream's direction or, for a unary call, message 0.
func (p *Payloads) log(ctx context.Context, from payloadSource, direction string, n int, m any) {
	if !p.logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs,
		slog.String(string(semconv.RPCMethodKey), semconv.RPCMethod(from.method)),
		slog.String("side", from.side),
		slog.String("direction", direction))
	if n > 0 {
		attrs = append(attrs, slog.Int("message_number", n))
	}
	pm, ok := m.(proto.Message)
	if !ok {
		attrs = append(attrs, slog.String("message_type", fmt.Sprintf("%T", m)))
	} else {
		attrs = append(attrs, slog.String("message_type", string(pm.ProtoReflect().Descriptor().FullName())))
		attrs = p.appendContent(attrs, pm)
	}
	p.logger.LogAttrs(ctx, slog.LevelDebug, MessagePayload, attrs...)
}

type payloadServerStream struct {
	grpc.ServerStream
	log            *Payloads
	source         payloadSource
	sent, received int
}

// SendMsg sends m and logs it.
func (s *payloadServerStream) SendMsg(m any) error {
	err := s.ServerStream.SendMsg(m)
	if err == nil {
		s.sent++
		s.log.log(s.Context(), s.source, sent, s.sent, m)
	}
	return err
}

// RecvMsg receives into m and logs it.
func (s *payloadServerStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if err == nil {
		s.received++
		s.log.log(s.Context(), s.source, received, s.received, m)
	}
	return err
}

type payloadClientStream struct {
	grpc.ClientStream
	ctx            context.Context // of the call; the stream's own would end retries if asked for
	log            *Payloads
	source         payloadSource
	sent, received int
}

// SendMsg sends m and logs it.
func (s *payloadClientStream) SendMsg(m any) error {
	err := s.ClientStream.SendMsg(m)
	if err == nil {
		s.sent++
		s.log.log(s.ctx, s.source, sent, s.sent, m)
	}
	return err
}

// RecvMsg receives into m and logs it.
func (s *payloadClientStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil {
		s.received++
		s.log.log(s.ctx, s.source, received, s.received, m)
	}
	return err
}
