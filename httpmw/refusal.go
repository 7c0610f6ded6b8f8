// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// ProblemRejected is the type of the problem that tells of a refusal by a policy:
// its members policy and reason say which kind of policy it was, and why.
const ProblemRejected = "tag:fairlead-go.github.io,2026:rejected"

const (
	policyMember = "policy"
	reasonMember = "reason"
)

// The headers that hold what gRPC has metadata for (gRFC A6), besides Retry-After.
const (
	// HeaderPushback says in how many milliseconds another attempt is welcome, to
	// the millisecond, where Retry-After has seconds; -1 asks for none at all.
	HeaderPushback = "X-Retry-Pushback-Ms"
	// HeaderPreviousAttempts says how many attempts at this request there were
	// before; servers do not retry in turn what is being retried.
	HeaderPreviousAttempts = "X-Previous-Attempts"

	// HeaderRejected names the kind of policy that refused a request, as the problem
	// in the body does: whoever has no use for the body knows it by that.
	HeaderRejected = "X-Rejected"

	headerRetryAfter = "Retry-After"
)

// maxReason bounds the reason that a peer is told, in bytes.
const maxReason = 64

// problemOf returns the problem that tells a peer of a refusal: which kind of
// policy refused, and why in a word or two. Whose name the policy has is not the
// peer's business.
func problemOf(e *resilience.RejectedError) Problem {
	r := rejectionOf(e.Policy)
	p := Problem{Type: ProblemRejected, Status: r.code, Detail: r.title, Extensions: map[string]any{}}
	if policy := safeText(string(e.Policy), ""); policy != "" {
		p.Extensions[policyMember] = policy
	}
	if reason := safeText(e.Reason, ""); reason != "" {
		p.Extensions[reasonMember] = reason
	}
	return p
}

// WriteError answers r with what err is to a caller, as [WriteProblem] does:
//
//   - a refusal by a policy, of this process or of one that it called, as itself
//     ([ProblemRejected]), with Retry-After if it is known when to come back, so
//     that the caller's [CheckResponse] finds it again;
//   - another [*StatusError] of a server that was called as 502, 503, 504 or, if
//     the request was at fault, 500;
//   - the end of a context as 504 or 503, and all else as 500.
//
// If err is of a call that was retried here in vain, the caller is asked not to
// retry in turn. Of the error's text the peer learns nothing. It does nothing if
// err is nil.
func WriteError(w http.ResponseWriter, r *http.Request, err error, opts ...ProblemOption) {
	if err == nil {
		return
	}
	var c problemConfig
	for _, o := range opts {
		o.applyProblem(&c)
	}
	c.writeError(w, r, err)
}

func (c *problemConfig) writeError(w http.ResponseWriter, r *http.Request, err error) {
	if answered(w) {
		return
	}
	tellPushback(w.Header(), err)
	if e := rejectionIn(err); e != nil {
		if policy := safeText(string(e.Policy), ""); policy != "" {
			w.Header().Set(HeaderRejected, policy)
		}
		c.write(w, r, problemOf(e))
		return
	}
	c.write(w, r, Problem{Status: statusOf(err)})
}

// refuse answers r, which a policy of kind p has not admitted, and tells the
// request's record of it. An error that is no refusal is one all the same, unless it
// is the end of the request during a wait.
func (c *problemConfig) refuse(w http.ResponseWriter, r *http.Request, p resilience.Policy, err error) {
	ctx := r.Context()
	if rejectionIn(err) == nil {
		if ended := ctx.Err(); ended != nil {
			c.writeError(w, r, ended)
			return
		}
		err = &resilience.RejectedError{Policy: p, Err: err}
	}
	if call := record.FromContext(ctx); call != nil && call.Kind() == record.HTTPServer {
		call.NoteRefused()
	}
	c.writeError(w, r, err)
}

// rejectionIn returns the refusal in err, or nil.
func rejectionIn(err error) *resilience.RejectedError {
	if e, ok := errors.AsType[*resilience.RejectedError](err); ok {
		return e
	}
	if errors.Is(err, ctxutil.ErrBudgetExhausted) {
		return &resilience.RejectedError{Policy: resilience.PolicyDeadline}
	}
	return nil
}

// tellPushback puts into the header of an answer what the caller should know about
// another attempt, given that the answer is err: how long to wait, or not to retry
// what was retried here in vain.
func tellPushback(h http.Header, err error) {
	e, rejected := errors.AsType[*resilience.RejectedError](err)
	if rejected && e.RetryAfter > 0 {
		d := min(e.RetryAfter, retry.MaxRetryAfter)
		h.Set(headerRetryAfter, strconv.FormatInt(roundUp(d, time.Second), 10))
		h.Set(HeaderPushback, strconv.FormatInt(roundUp(d, time.Millisecond), 10))
	}
	if retry.DoNotRetry(err) {
		h.Set(HeaderPushback, "-1")
	}
}

// roundUp returns d in units, rounded up: who comes back too early is refused again.
func roundUp(d, unit time.Duration) int64 { return int64((d + unit - 1) / unit) }

// pushbackOf returns what an answer says of another attempt, seen at now. Several
// values of the one header, or one that cannot be read, ask for none (gRFC A6).
func pushbackOf(h http.Header, now time.Time) retry.Pushback {
	if values := h[HeaderPushback]; len(values) > 0 {
		d, again, _ := retry.ParsePushback(values[0])
		if !again || len(values) > 1 {
			return retry.PushbackStop()
		}
		return retry.PushbackAfter(d)
	}
	if d, ok := retry.ParseRetryAfter(h.Get(headerRetryAfter), now); ok {
		return retry.PushbackAfter(d)
	}
	return retry.Pushback{}
}

// retryAfterOf returns for how long a refusal asks to be left alone, seen at now.
// Who asks not to retry this request may say so of the next ones.
func retryAfterOf(h http.Header, now time.Time) time.Duration {
	p := pushbackOf(h, now)
	if p.IsStop() {
		d, _ := retry.ParseRetryAfter(h.Get(headerRetryAfter), now)
		return d
	}
	d, _ := p.After()
	return d
}

// StatusError is an answer of a server with a status of 400 or above, as an error.
// It unwraps to the [*resilience.RejectedError] that the answer tells of, if it
// does, and to the [*resilience.AttemptsError] of a request that was retried.
type StatusError struct {
	// StatusCode is the answer's.
	StatusCode int
	// Server is the host that answered, as in the request's URL.
	Server string
	// Problem is what the answer says; its Status and Title are set if it is no
	// problem+json. It is the peer's word: fit to be shown and logged with care.
	Problem Problem

	rejected *resilience.RejectedError
	attempts *resilience.AttemptsError
}

// Error returns status and server: `payment:8080 answered 503 Service Unavailable`.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s answered %d %s", e.Server, e.StatusCode, statusTitle(e.StatusCode))
	if e.rejected != nil {
		text += ": " + e.rejected.Error()
	}
	if e.attempts != nil {
		text = fmt.Sprintf("%s after %d attempts: %s", e.attempts.Reason, e.attempts.Attempts, text)
	}
	return text
}

// Outcome returns what the status means, as [OutcomeOf] does. By it package
// interceptors tells a gRPC caller of the error.
func (e *StatusError) Outcome() resilience.Outcome { return OutcomeOf(e.StatusCode) }

// Unwrap returns the refusal and the attempts, as far as there were any.
func (e *StatusError) Unwrap() []error {
	var errs []error
	if e.rejected != nil {
		errs = append(errs, e.rejected)
	}
	if e.attempts != nil {
		errs = append(errs, e.attempts)
	}
	return errs
}

// CheckResponse returns a [*StatusError] if resp's status is 400 or above, and nil
// otherwise. A refusal that resp tells of is in its chain, wherever it was made, so
// that for instance errors.Is(err, gobreaker.ErrOpenState) holds if the breaker of
// some server behind resp's was open; and 429 is resilience.ErrRateLimited by
// itself (RFC 6585).
//
// If resp is a problem, up to 64 KiB of its body are read. The body is not closed.
func CheckResponse(resp *http.Response) error {
	if resp.StatusCode < 400 {
		return nil
	}
	e := &StatusError{StatusCode: resp.StatusCode}
	if resp.Request != nil {
		e.attempts = attemptsOf(resp.Request.Context())
		if resp.Request.URL != nil {
			e.Server = resp.Request.URL.Host
		}
	}
	p, err := ParseProblem(resp)
	if err != nil {
		p = Problem{Type: problemTypeNone, Status: resp.StatusCode}
	}
	if p.Title == "" {
		p.Title = statusTitle(p.Status)
	}
	e.Problem = p
	if e.rejected = rejectionFrom(p, resp); e.rejected != nil {
		e.rejected.Name = e.Server
		e.rejected.RetryAfter = retryAfterOf(resp.Header, time.Now())
	}
	return e
}

// isRefusal reports whether resp says that a policy of the server's, or of one behind
// it, refused the request.
func isRefusal(resp *http.Response) bool {
	if resp.StatusCode < 400 {
		return false
	}
	_, known := rejections[resilience.Policy(resp.Header.Get(HeaderRejected))]
	return known
}

// rejectionFrom returns the refusal that a peer's problem tells of or, to those who
// asked for no problem, the header of its answer; or nil. All of it is the peer's word.
func rejectionFrom(p Problem, resp *http.Response) *resilience.RejectedError {
	if p.Type == ProblemRejected {
		policy, _ := p.Extensions[policyMember].(string)
		if r, ok := rejections[resilience.Policy(policy)]; ok {
			reason, _ := p.Extensions[reasonMember].(string)
			return &resilience.RejectedError{Policy: resilience.Policy(policy), Reason: safeText(reason, r.title), Remote: true}
		}
	}
	if isRefusal(resp) {
		policy := resilience.Policy(resp.Header.Get(HeaderRejected))
		return &resilience.RejectedError{Policy: policy, Reason: rejectionOf(policy).title, Remote: true}
	}
	if resp.StatusCode == http.StatusTooManyRequests {
		return &resilience.RejectedError{Policy: resilience.PolicyRateLimit, Reason: rejectionOf(resilience.PolicyRateLimit).title, Remote: true}
	}
	return nil
}

// safeText returns s if it is fit to be sent and shown, short and printable ASCII,
// or else otherwise.
func safeText(s, otherwise string) string {
	if s == "" || len(s) > maxReason {
		return otherwise
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return otherwise
		}
	}
	return s
}

// attemptsKey is where the context of an answer's request keeps what became of its
// attempts.
type attemptsKey struct{}

// withAttempts notes that resp is the answer to the last of several attempts, or
// to one that there should have been another of. Whatever wraps the body of resp
// further out, [CheckResponse] finds it.
func withAttempts(resp *http.Response, e *resilience.AttemptsError) {
	if resp.Request != nil {
		resp.Request = resp.Request.WithContext(context.WithValue(resp.Request.Context(), attemptsKey{}, e))
	}
}

func attemptsOf(ctx context.Context) *resilience.AttemptsError {
	e, _ := ctx.Value(attemptsKey{}).(*resilience.AttemptsError)
	return e
}

// withPreviousAttempts returns r, a request served, with the number of attempts
// that were made before it.
func withPreviousAttempts(r *http.Request) *http.Request {
	v := r.Header.Get(HeaderPreviousAttempts)
	if v == "" {
		return r
	}
	n, err := strconv.ParseUint(v, 10, 31)
	if err != nil {
		return r
	}
	if ctx := retry.WithPreviousAttempts(r.Context(), int(n)); ctx != r.Context() {
		return r.WithContext(ctx)
	}
	return r
}
