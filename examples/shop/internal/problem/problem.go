// SPDX-License-Identifier: Apache-2.0

// Package problem writes and reads the shop's HTTP errors: problem details of
// RFC 9457, with the shop's reason as an extension member.
//
//	problem.Write(w, r, http.StatusConflict, reason.OutOfStock, "not enough of this article")
//
//	if resp.StatusCode >= 400 {
//		return problem.Read(resp)
//	}
package problem

import (
	"fmt"
	"net/http"

	"github.com/fairlead-go/fairlead/httpmw"
)

// reasonMember is the extension member that carries the reason.
const reasonMember = "reason"

// Error is an HTTP answer that says no.
type Error struct {
	// Status is the HTTP status code.
	Status int
	// Detail is for people, and free of anything internal.
	Detail string
	// Reason is for programs: one of package reason's, or empty.
	Reason string
}

// Error returns status and detail in one line.
func (e *Error) Error() string {
	return fmt.Sprintf("%d %s: %s", e.Status, http.StatusText(e.Status), e.Detail)
}

// Write answers r with a problem.
func Write(w http.ResponseWriter, r *http.Request, status int, reason, detail string) {
	p := httpmw.Problem{Status: status, Detail: detail}
	if reason != "" {
		p.Extensions = map[string]any{reasonMember: reason}
	}
	httpmw.WriteProblem(w, r, p)
}

// Read returns the problem in resp, which has an error status. Of an answer in
// another form it returns the status alone. It does not close the body.
func Read(resp *http.Response) *Error {
	e := &Error{Status: resp.StatusCode}
	p, err := httpmw.ParseProblem(resp)
	if err != nil {
		return e
	}
	e.Detail = p.Detail
	e.Reason, _ = p.Extensions[reasonMember].(string)
	return e
}
