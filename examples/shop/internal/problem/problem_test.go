// SPDX-License-Identifier: Apache-2.0

package problem_test

import (
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/examples/shop/internal/problem"
)

func TestWriteAndRead(t *testing.T) {
	for _, want := range []*problem.Error{
		{Status: 409, Detail: `not enough of "mug"`, Reason: "OUT_OF_STOCK"},
		{Status: 400, Detail: "no order"},
	} {
		w := httptest.NewRecorder()
		problem.Write(w, httptest.NewRequest("GET", "/", nil), want.Status, want.Reason, want.Detail)
		if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("content type %q", got)
		}
		if diff := cmp.Diff(want, problem.Read(w.Result())); diff != "" {
			t.Errorf("Read (-want +got):\n%s", diff)
		}
	}
}

func TestReadOfSomethingElse(t *testing.T) {
	for name, tc := range map[string]struct{ contentType, body string }{
		"a page":       {"text/html", "<h1>Bad Gateway</h1>"},
		"broken JSON":  {"application/problem+json", `{"detail":`},
		"wrong status": {"application/problem+json", `{"status":200}`},
	} {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", tc.contentType)
		w.WriteHeader(502)
		_, _ = w.WriteString(tc.body)
		if diff := cmp.Diff(&problem.Error{Status: 502}, problem.Read(w.Result())); diff != "" {
			t.Errorf("%s: Read (-want +got):\n%s", name, diff)
		}
	}
}
