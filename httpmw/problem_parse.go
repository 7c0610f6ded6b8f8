// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
)

// maxProblemBytes bounds what ParseProblem reads.
const maxProblemBytes = 64 << 10

// ErrNotProblem is what [ParseProblem] returns for an answer that is not
// application/problem+json.
var ErrNotProblem = errors.New("httpmw: the answer is not application/problem+json")

// ParseProblem reads the problem in an answer. It reads at most 64 KiB of the
// body and does not close it; of an answer with another content type, for which
// the error is [ErrNotProblem], it reads nothing.
//
// As RFC 9457 demands, members of the wrong type are ignored. A missing type is
// "about:blank", and a missing or impossible status is that of the answer.
// Numbers in Extensions are of type [json.Number]. All of it is the peer's word:
// fit to be shown and logged with care, not to be trusted.
func ParseProblem(resp *http.Response) (Problem, error) {
	mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || mediaType != ProblemContentType || resp.Body == nil {
		return Problem{}, ErrNotProblem
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblemBytes+1))
	if err != nil {
		return Problem{}, fmt.Errorf("httpmw: reading a problem: %w", err)
	}
	if len(body) > maxProblemBytes {
		return Problem{}, fmt.Errorf("httpmw: a problem of more than %d bytes", maxProblemBytes)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return Problem{}, fmt.Errorf("httpmw: a malformed problem: %w", err)
	}
	p := Problem{
		Type:     takeString(members, "type"),
		Title:    takeString(members, "title"),
		Status:   takeStatus(members, resp.StatusCode),
		Detail:   takeString(members, "detail"),
		Instance: takeString(members, "instance"),
	}
	if p.Type == "" {
		p.Type = problemTypeNone
	}
	for k, raw := range members {
		var v any
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		if d.Decode(&v) != nil {
			continue
		}
		if p.Extensions == nil {
			p.Extensions = make(map[string]any, len(members))
		}
		p.Extensions[k] = v
	}
	return p, nil
}

// takeString takes a member out; one that is no string counts as empty.
func takeString(members map[string]json.RawMessage, name string) string {
	var s string
	if json.Unmarshal(members[name], &s) != nil {
		s = ""
	}
	delete(members, name)
	return s
}

// takeStatus takes the status out; one that is no status code becomes fallback.
func takeStatus(members map[string]json.RawMessage, fallback int) int {
	var n int
	err := json.Unmarshal(members["status"], &n)
	delete(members, "status")
	if err != nil || n < 100 || n > 599 {
		return fallback
	}
	return n
}
