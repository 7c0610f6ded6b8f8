// SPDX-License-Identifier: Apache-2.0

package record

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"

	"github.com/fairlead-go/fairlead/internal/semconv"
	"github.com/fairlead-go/fairlead/resilience"
)

// HTTPStatus is a response status as one side sees it. Adapters make one for
// each code, once, with [NewHTTPStatus] or [NewHTTPFailure].
type HTTPStatus struct {
	code      int    // 0: there was no response
	errorType string // "" unless the call failed, in the eyes of this side
	outcome   resilience.Outcome
	attrs     []attribute.KeyValue
}

// NewHTTPStatus describes a response status as the server or the client sees
// it. Which codes mark a span as failed is the semantic conventions' choice
// (https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status): on
// servers 5xx, on clients 4xx too. What the code means otherwise is the
// adapter's: outcome.
func NewHTTPStatus(server bool, code int, outcome resilience.Outcome) *HTTPStatus {
	s := &HTTPStatus{code: code, outcome: outcome, errorType: semconv.HTTPErrorType(server, code)}
	s.attrs = append(s.attrs, semconv.HTTPResponseStatusCodeKey.Int(code))
	if s.errorType != "" {
		s.attrs = append(s.attrs, semconv.ErrorTypeKey.String(s.errorType))
	}
	return s
}

// NewHTTPFailure describes a request that failed otherwise than by its status
// code: no response came, the handler panicked, or the body broke off. errorType is one
// of few values such as "timeout"; code is 0 if there was no response.
func NewHTTPFailure(code int, errorType string, outcome resilience.Outcome) *HTTPStatus {
	s := &HTTPStatus{code: code, outcome: outcome, errorType: errorType}
	if code != 0 {
		s.attrs = append(s.attrs, semconv.HTTPResponseStatusCodeKey.Int(code))
	}
	s.attrs = append(s.attrs, semconv.ErrorTypeKey.String(errorType))
	return s
}

// Outcome returns the outcome the status stands for.
func (s *HTTPStatus) Outcome() resilience.Outcome { return s.outcome }

// spanStatus is the span's status for s.
func (s *HTTPStatus) spanStatus() codes.Code {
	if s.errorType != "" {
		return codes.Error
	}
	return codes.Unset
}
