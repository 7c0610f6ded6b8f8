// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/hashicorp/consul/api"
)

// What Consul may answer, besides the errors of package discovery. They are wrapped: use
// errors.Is.
var (
	// ErrDenied: the token is unknown, has expired, or is not allowed what was asked for.
	// An answer from which Consul left something out for that reason is one, too.
	ErrDenied = errors.New("consul: permission denied")
	// ErrNoLeader: Consul's servers have no leader at the moment, or the one that answered
	// has not heard from it for too long.
	ErrNoLeader = errors.New("consul: no leader")
)

// answerError is an answer that is not the one that was asked for.
type answerError struct {
	code  int
	text  string
	hint  string
	cause []error
}

func (e *answerError) Error() string {
	text := fmt.Sprintf("answer %d: %s", e.code, e.text)
	if e.hint != "" {
		text += " (" + e.hint + ")"
	}
	return text
}

func (e *answerError) Unwrap() []error { return e.cause }

// fault says what was asked, of whom, and what may be wrong.
func (b *Backend) fault(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if ended := context.Cause(ctx); ended != nil && errors.Is(err, ctx.Err()) {
		err = ended
	}
	if status, ok := errors.AsType[api.StatusError](err); ok {
		err = b.answer(status)
	} else if hint := b.hint(err); hint != "" {
		err = fmt.Errorf("%w (%s)", err, hint)
	}
	return fmt.Errorf("consul: %s at %s: %w", what, b.where, err)
}

// maxText bounds what of an answer becomes part of an error.
const maxText = 300

func (b *Backend) answer(status api.StatusError) error {
	e := &answerError{code: status.Code, text: shortened(status.Body), cause: []error{status}}
	switch {
	case status.Code == http.StatusForbidden || status.Code == http.StatusUnauthorized:
		e.cause = append(e.cause, ErrDenied)
		e.hint = "the token is from " + b.tokenSource()
	case strings.Contains(status.Body, "No cluster leader"):
		e.cause = append(e.cause, ErrNoLeader)
	case strings.Contains(status.Body, "Consul Enterprise feature"):
		e.hint = fmt.Sprintf("namespace %q is from %s, partition %q from %s", b.cfg.namespace, b.cfg.source(setNamespace), b.cfg.partition, b.cfg.source(setPartition))
		if b.cfg.native {
			e.hint = "WithNativeNamespaces is for Consul Enterprise"
		}
	case strings.Contains(status.Body, "HTTP request to an HTTPS server"):
		e.hint = "it wants TLS: set " + api.HTTPSSLEnvName + ", or begin the address with https://"
	case status.Code == http.StatusTooManyRequests:
		e.hint = "too many requests or connections: see limits in the agent's configuration"
	case status.Code == http.StatusNotFound && !isAnswerOfConsul(status.Body), status.Code >= 300 && status.Code < 400:
		e.hint = b.elsewhere()
	}
	return e
}

// isAnswerOfConsul reports whether a 404 is about something that Consul knows nothing of.
func isAnswerOfConsul(body string) bool { return strings.Contains(strings.ToLower(body), "unknown ") }

func (b *Backend) elsewhere() string {
	return "the address is from " + b.cfg.source(setAddress) + ": is that Consul?"
}

func (b *Backend) tokenSource() string {
	switch {
	case b.cfg.tokenFile != "":
		return b.cfg.tokenFile + ", by " + b.cfg.source(setTokenFile)
	case b.cfg.token != "":
		return b.cfg.source(setToken)
	default:
		return "nowhere: none is set"
	}
}

// hint is for what went wrong before there was an answer, or while it was read.
func (b *Backend) hint(err error) string {
	_, syntax := errors.AsType[*json.SyntaxError](err)
	_, kind := errors.AsType[*json.UnmarshalTypeError](err)
	op, dialed := errors.AsType[*net.OpError](err)
	switch {
	case syntax, kind:
		return b.elsewhere()
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"): // it has no type
		return "it does not speak TLS: begin the address with http:// if that is meant"
	case dialed && op.Op == "dial":
		return "the address is from " + b.cfg.source(setAddress)
	}
	return ""
}

// shortened makes one line of a text of limited length.
func shortened(text string) string {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return strings.Join(strings.Fields(text), " ")
}

// isUnknown reports whether Consul's agent answers that it knows no such check or
// service: a 404 since Consul 1.11, and before that a 500.
func isUnknown(err error) bool {
	status, ok := errors.AsType[api.StatusError](err)
	if !ok {
		return false
	}
	text := strings.ToLower(status.Body)
	switch status.Code {
	case http.StatusNotFound:
		return strings.Contains(text, "unknown check") || strings.Contains(text, "unknown service")
	case http.StatusInternalServerError:
		return strings.Contains(text, "does not have associated ttl") || strings.Contains(text, "unknown check") || strings.Contains(text, "unknown service")
	}
	return false
}
