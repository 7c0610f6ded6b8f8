// SPDX-License-Identifier: Apache-2.0

package record

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/fairlead-go/fairlead/internal/scope"
	"github.com/fairlead-go/fairlead/internal/semconv"
	"github.com/fairlead-go/fairlead/resilience"
)

// The messages of the request log, one for each kind of call. They are the
// only messages a record logs with.
const (
	MessageRPCServer  = "rpc server call"
	MessageRPCClient  = "rpc client call"
	MessageHTTPServer = "http server request"
	MessageHTTPClient = "http client request"
)

// Message returns the message of the request log line of a call of kind k.
func (k Kind) Message() string {
	return [...]string{MessageRPCServer, MessageRPCClient, MessageHTTPServer, MessageHTTPClient}[k]
}

// panicSource names where a panic came from, as a label.
func (k Kind) panicSource() string {
	if k == RPCServer || k == RPCClient {
		return "grpc"
	}
	return "http"
}

// Level returns the level at which a call of kind k that ended with o is
// logged. On servers: success, client faults and cancellation at info, faults
// of the server at error, everything else at warn. On clients: success at
// debug, since the called server logs it too; cancellation at info; everything
// else at warn, since only the caller can tell whether it is an error.
func Level(k Kind, o resilience.Outcome) slog.Level {
	switch {
	case o == resilience.OutcomeOK && !k.IsServer():
		return slog.LevelDebug
	case o == resilience.OutcomeCanceled, o == resilience.OutcomeOK:
		return slog.LevelInfo
	case !k.IsServer():
		return slog.LevelWarn
	case o == resilience.OutcomeClientFault:
		return slog.LevelInfo
	case o == resilience.OutcomeServerFault:
		return slog.LevelError
	default:
		return slog.LevelWarn
	}
}

// logPolicy decides what is logged how.
type logPolicy struct {
	quiet         map[string]bool
	quietServices []string // with their trailing slash
}

func defaultLogPolicy() logPolicy {
	var p logPolicy
	p.setQuiet([]string{"grpc.health.v1.Health/", "/livez", "/readyz", "/healthz", "/metrics"})
	return p
}

func (p *logPolicy) setQuiet(names []string) {
	p.quiet, p.quietServices = map[string]bool{}, nil
	for _, n := range names {
		if strings.HasSuffix(n, "/") && len(n) > 1 && n[0] != '/' {
			p.quietServices = append(p.quietServices, n)
			continue
		}
		p.quiet[n] = true
	}
}

// isQuiet reports whether success of name ("pkg.Service/Method", or a route
// with or without its method) is not worth a line.
func (p *logPolicy) isQuiet(name string) bool {
	if p.quiet[name] {
		return true
	}
	if _, path, found := strings.Cut(name, " "); found && p.quiet[path] {
		return true
	}
	for _, s := range p.quietServices {
		if strings.HasPrefix(name, s) {
			return true
		}
	}
	return false
}

// maxLine is how many attributes a request log line starts out with room for:
// the most that a call has by itself.
const maxLine = 22

// line is the request log line of one call while it is put together.
type line struct {
	attrs [maxLine]slog.Attr
	n     int
}

func (l *line) add(a slog.Attr) {
	if l.n < maxLine {
		l.attrs[l.n] = a
		l.n++
	}
}

func (l *line) str(key, value string) {
	if value != "" {
		l.add(slog.String(key, value))
	}
}

// ids puts the identity first: a logging.Handler passes such a record on
// without adding the ids again.
func (l *line) ids(c *Call) {
	l.str(semconv.TraceIDKey, c.TraceID())
	l.str(semconv.SpanIDKey, c.SpanID())
}

// attempts says how often a call was tried, if that was more than once.
func (l *line) attempts(c *Call) {
	if n := c.Attempts(); n > 1 {
		l.add(slog.Int("attempts", n))
	}
}

// logLevel returns the level of the call's line, and whether it is written.
func (c *Call) logLevel(quiet bool) (slog.Level, bool) { return c.levelOf(c.outcome, quiet) }

// levelOf is logLevel for a call that ends with o.
func (c *Call) levelOf(o resilience.Outcome, quiet bool) (slog.Level, bool) {
	if c.recorder.log == nil {
		return 0, false
	}
	level := Level(c.kind, o)
	if quiet && o == resilience.OutcomeOK {
		level = slog.LevelDebug
	}
	return level, c.recorder.log.Enabled(c, level)
}

// writeLine completes l with what every kind of call has, and writes it.
func (c *Call) writeLine(l *line, level slog.Level, errorType, message string) {
	l.str(string(semconv.ErrorTypeKey), errorType)
	l.add(slog.Float64(DurationKey, float64(c.end.Sub(c.start))/float64(time.Millisecond)))
	if deadline, ok := c.callersDeadline(); ok {
		l.add(slog.Float64("deadline_left_ms", float64(deadline.Sub(c.end))/float64(time.Millisecond)))
	}
	if peer := c.peer.Load(); peer != nil {
		l.str("peer", peer.text)
	}
	l.str("request_id", c.CorrelationID)
	if c.requestSize >= 0 {
		l.add(slog.Int64("request_bytes", c.requestSize))
	}
	if c.replySize >= 0 {
		l.add(slog.Int64("response_bytes", c.replySize))
	}
	l.str(DegradedKey, bounded(c.degradedBy))
	if c.outcome != resilience.OutcomeOK {
		if reason := c.retryReason.Load(); reason != nil {
			l.str(RetryReasonKey, *reason)
		}
		l.str("outcome", c.outcome.String())
		l.str("error", bounded(message))
	}

	rec := slog.NewRecord(c.end, level, c.kind.Message(), 0)
	rec.AddAttrs(l.attrs[:l.n]...)
	if p := c.panicked.Load(); p != nil {
		rec.AddAttrs(slog.String("panic", p.text()), slog.String("stack", string(p.stack)))
	}
	c.addRequestAttrs(&rec, l)
	_ = c.recorder.log.Handle(c, rec) // a logger has nobody to tell that it cannot log
}

// callersDeadline returns the deadline of whoever made the call or, on a client,
// whoever asked for it.
func (c *Call) callersDeadline() (time.Time, bool) {
	if !c.http.deadline.IsZero() {
		return c.http.deadline, true
	}
	return c.Deadline()
}

// DurationKey is the request log's key for a call's duration in milliseconds,
// a fraction.
const DurationKey = "duration_ms"

// addRequestAttrs adds what handlers put on the request. On a client call that
// is the request the call is made for. Keys of the line itself are not
// overwritten.
func (c *Call) addRequestAttrs(rec *slog.Record, l *line) {
	var buf [8]slog.Attr
	attrs := c.AppendAttrs(buf[:0])
	if !c.kind.IsServer() {
		if request := scope.From(c.Parent()); request != nil {
			attrs = request.AppendAttrs(attrs)
		}
	}
next:
	for i, a := range attrs {
		for _, own := range l.attrs[:l.n] {
			if own.Key == a.Key {
				continue next
			}
		}
		for _, earlier := range attrs[:i] {
			if earlier.Key == a.Key {
				continue next
			}
		}
		rec.AddAttrs(a)
	}
}

// attributes describe a panic as an exception event.
func (p *caught) attributes() []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.ExceptionTypeKey.String(fmt.Sprintf("%T", p.value)),
		semconv.ExceptionMessageKey.String(p.text()),
		semconv.ExceptionStacktraceKey.String(string(p.stack)),
	}
}

// text is the panic's value as spans and logs show it.
func (p *caught) text() string { return bounded(fmt.Sprint(p.value)) }
