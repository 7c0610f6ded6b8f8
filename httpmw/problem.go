// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead-go/fairlead/ctxutil"
)

// ProblemContentType is the media type of problem details in JSON (RFC 9457).
const ProblemContentType = "application/problem+json"

const (
	problemTypeNone = "about:blank" // "the problem is just its status", RFC 9457, section 4.2.1
	traceIDMember   = "trace_id"
)

// Problem tells what went wrong with a request (RFC 9457, problem details). The
// zero value is a plain "500 Internal Server Error". Whatever stands in it is
// meant for the peer: an error's text gets there only if you put it there.
type Problem struct {
	// Type is a URI reference that identifies the kind of problem; empty means
	// "about:blank": no more is to be said than the status does.
	Type string
	// Title names the kind of problem, the same each time it occurs; empty means
	// the text of the status.
	Title string
	// Status is the HTTP status code, 400 to 599. WriteProblem takes any other
	// value, zero too, for 500.
	Status int
	// Detail explains this occurrence.
	Detail string
	// Instance is a URI reference that identifies this occurrence.
	Instance string
	// Extensions are further members. Those named as a field above (type, title,
	// status, detail, instance) are left out.
	Extensions map[string]any
}

// TraceID returns the trace_id extension, which WriteProblem adds: 32 lower-case
// hex digits, or "" if there is none or it does not look like that.
func (p Problem) TraceID() string {
	s, _ := p.Extensions[traceIDMember].(string)
	if len(s) != 32 {
		return ""
	}
	for i := range len(s) {
		if (s[i] < '0' || s[i] > '9') && (s[i] < 'a' || s[i] > 'f') {
			return ""
		}
	}
	return s
}

// MarshalJSON writes the members of p, extensions included, as one object with
// its keys sorted. Empty Detail and Instance and a zero Status are left out.
func (p Problem) MarshalJSON() ([]byte, error) {
	type member struct {
		name  string
		value any
	}
	var few [12]member
	members := append(few[:0], member{"type", cmp.Or(p.Type, problemTypeNone)})
	for _, m := range []member{{"title", p.Title}, {"detail", p.Detail}, {"instance", p.Instance}} {
		if m.value != "" {
			members = append(members, m)
		}
	}
	if p.Status != 0 {
		members = append(members, member{"status", p.Status})
	}
	for name, value := range p.Extensions {
		switch name {
		case "type", "title", "status", "detail", "instance":
		default:
			members = append(members, member{name, value})
		}
	}
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	b := append(make([]byte, 0, 256), '{')
	for i, m := range members {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, m.name), ':')
		switch v := m.value.(type) {
		case string:
			b = appendString(b, v)
		case int:
			b = strconv.AppendInt(b, int64(v), 10)
		default:
			raw, err := json.Marshal(v)
			if err != nil {
				return nil, err
			}
			b = append(b, raw...)
		}
	}
	return append(b, '}'), nil
}

// appendString appends s in JSON.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || strings.IndexByte(`"\<>&`, c) >= 0 {
			raw, _ := json.Marshal(s) // a string: cannot fail
			return append(b, raw...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// ErrorPage renders p for a person with a browser. It is called on the
// goroutine of the request, and must not panic. What it writes is sent only if
// it returns no error.
type ErrorPage func(w io.Writer, r *http.Request, p Problem) error

// HTMLPage returns an ErrorPage that executes t with the [Problem] as its data:
// {{.Status}}, {{.Title}}, {{.Detail}}, {{.TraceID}}. html/template escapes them.
// It panics on a nil template.
func HTMLPage(t *template.Template) ErrorPage {
	if t == nil {
		panic("httpmw: HTMLPage: nil template")
	}
	return func(w io.Writer, _ *http.Request, p Problem) error { return t.Execute(w, p) }
}

// ProblemOption is an option of all that answers with a [Problem]:
// [WriteProblem], [WriteError], [Recovery], [Deadline], and what refuses requests.
type ProblemOption interface {
	RecoveryOption
	DeadlineOption
	LimitOption
	applyProblem(*problemConfig)
}

type problemConfig struct{ page ErrorPage }

type problemOption func(*problemConfig)

func (o problemOption) applyProblem(c *problemConfig) { o(c) }
func (o problemOption) applyRecovery(c *recovering)   { o(&c.problem) }
func (o problemOption) applyDeadline(c *deadlines)    { o(&c.problem) }
func (o problemOption) applyLimit(l *limits)          { o(&l.problem) }

// WithErrorPage sets the page for clients that prefer HTML. Without one, or with
// nil, they get plain text.
func WithErrorPage(page ErrorPage) ProblemOption {
	return problemOption(func(c *problemConfig) { c.page = page })
}

// WriteProblem answers r with p, in the form that its Accept header asks for:
// problem+json for clients that take JSON (or anything), the page of
// [WithErrorPage] for those that prefer HTML, otherwise plain text. It fills in
// the defaults of p and the trace id of the request. Headers that the handler
// has set for another answer (its length, encoding, validators) are removed; the
// answer is not to be cached nor sniffed.
//
// If an answer has begun already nothing is written. Only a writer that tells so
// can be asked, and the one that [Record] hands down does; on a bare one the
// problem would be appended to what is there.
func WriteProblem(w http.ResponseWriter, r *http.Request, p Problem, opts ...ProblemOption) {
	var c problemConfig
	for _, o := range opts {
		o.applyProblem(&c)
	}
	c.write(w, r, p)
}

func (c *problemConfig) write(w http.ResponseWriter, r *http.Request, p Problem) {
	if answered(w) {
		return
	}
	p = p.complete(r.Context())
	contentType, body := c.render(r, p)
	h := w.Header()
	for _, k := range []string{
		"Content-Disposition", "Content-Encoding", "Content-Language", "Content-Range",
		"Etag", "Expires", "Last-Modified",
	} {
		h.Del(k)
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the peer may be gone
	}
}

// complete returns p with its defaults and the trace id filled in.
func (p Problem) complete(ctx context.Context) Problem {
	if p.Status < 400 || p.Status > 599 {
		p.Status = http.StatusInternalServerError
	}
	if p.Type == "" {
		p.Type = problemTypeNone
	}
	if p.Title == "" {
		p.Title = statusTitle(p.Status)
	}
	if id := ctxutil.TraceID(ctx); id != "" {
		ext := maps.Clone(p.Extensions)
		if ext == nil {
			ext = make(map[string]any, 1)
		}
		ext[traceIDMember] = id
		p.Extensions = ext
	}
	return p
}

func statusTitle(code int) string {
	switch t := http.StatusText(code); {
	case t != "":
		return t
	case code < 500:
		return "Client Error"
	default:
		return "Server Error"
	}
}

// render returns the answer's content type and body.
func (c *problemConfig) render(r *http.Request, p Problem) (string, []byte) {
	switch form := negotiate(r.Header["Accept"]); {
	case form == formJSON:
		return ProblemContentType, p.json()
	case form == formHTML && c.page != nil:
		var b bytes.Buffer
		err := c.page(&b, r, p)
		if err == nil {
			return "text/html; charset=utf-8", b.Bytes()
		}
		slog.ErrorContext(r.Context(), "httpmw: the error page failed, plain text is sent", slog.Any("error", err))
	}
	return "text/plain; charset=utf-8", p.text()
}

// json never fails: extensions that have no JSON form are left out.
func (p Problem) json() []byte {
	body, err := p.MarshalJSON()
	if err != nil {
		id := p.TraceID()
		p.Extensions = nil
		if id != "" {
			p.Extensions = map[string]any{traceIDMember: id}
		}
		body, _ = p.MarshalJSON() // strings and a number: cannot fail
	}
	return append(body, '\n')
}

func (p Problem) text() []byte {
	b := fmt.Appendf(nil, "%d %s\n", p.Status, p.Title)
	if p.Detail != "" {
		b = fmt.Appendf(b, "%s\n", p.Detail)
	}
	if id := p.TraceID(); id != "" {
		b = fmt.Appendf(b, "%s: %s\n", traceIDMember, id)
	}
	return b
}

// answered reports whether w, or a writer below it, says that an answer has begun.
func answered(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case interface{ WroteHeader() bool }:
			return t.WroteHeader()
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}
