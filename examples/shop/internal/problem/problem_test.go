// SPDX-License-Identifier: Apache-2.0

package problem_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/fairlead-go/fairlead/examples/shop/internal/problem"
	"github.com/fairlead-go/fairlead/httpmw"
)

func TestWriteAndRead(t *testing.T) {
	for _, want := range []string{"OUT_OF_STOCK", ""} {
		w := httptest.NewRecorder()
		problem.Write(w, httptest.NewRequest("GET", "/", nil), 409, want, `not enough of "mug"`)
		if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("content type %q", got)
		}
		err := httpmw.CheckResponse(w.Result())
		if got := problem.Reason(fmt.Errorf("gateway: %w", err)); err == nil || got != want {
			t.Errorf("reason %q of %v, want %q", got, err, want)
		}
	}
}

func TestReasonOfSomethingElse(t *testing.T) {
	page := httptest.NewRecorder()
	page.WriteHeader(502)
	for name, err := range map[string]error{
		"a page": httpmw.CheckResponse(page.Result()), "another error": errors.New("boom"), "nil": nil,
	} {
		if got := problem.Reason(err); got != "" {
			t.Errorf("%s: reason %q", name, got)
		}
	}
}
