// SPDX-License-Identifier: Apache-2.0

// Package problem gives the shop's HTTP errors, problem details of RFC 9457, the
// shop's reason as an extension member.
//
//	problem.Write(w, r, http.StatusConflict, reason.OutOfStock, "not enough of this article")
//
//	if err := httpmw.CheckResponse(resp); err != nil && problem.Reason(err) == reason.OutOfStock {
//		…
//	}
package problem

import (
	"errors"
	"net/http"

	"github.com/fairlead-go/fairlead/httpmw"
)

// reasonMember is the extension member that carries the reason.
const reasonMember = "reason"

// Write answers r with a problem. The reason may be empty.
func Write(w http.ResponseWriter, r *http.Request, status int, reason, detail string) {
	p := httpmw.Problem{Status: status, Detail: detail}
	if reason != "" {
		p.Extensions = map[string]any{reasonMember: reason}
	}
	httpmw.WriteProblem(w, r, p)
}

// Reason returns the reason in an error of [httpmw.CheckResponse], or "" if it has
// none.
func Reason(err error) string {
	if e, ok := errors.AsType[*httpmw.StatusError](err); ok {
		text, _ := e.Problem.Extensions[reasonMember].(string)
		return text
	}
	return ""
}
