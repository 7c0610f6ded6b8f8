// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"

	"github.com/fairlead-go/fairlead/httpmw"
)

func ExampleWriteProblem() {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		httpmw.WriteProblem(w, r, httpmw.Problem{
			Type:       "https://shop.example/problems/out-of-stock",
			Title:      "Out of stock",
			Status:     http.StatusConflict,
			Extensions: map[string]any{"left": 3},
		})
	})
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/orders", nil))
	fmt.Println(rec.Code, rec.Header().Get("Content-Type"))
	fmt.Print(rec.Body)
	// Output:
	// 409 application/problem+json
	// {"left":3,"status":409,"title":"Out of stock","type":"https://shop.example/problems/out-of-stock"}
}

func ExampleWithErrorPage() {
	page := httpmw.HTMLPage(template.Must(template.New("error").Parse(
		"<h1>{{.Title}}</h1><p>{{.Detail}}</p>\n")))
	r := httptest.NewRequest(http.MethodGet, "/orders/7", nil)
	r.Header.Set("Accept", "text/html,*/*;q=0.8")
	rec := httptest.NewRecorder()
	httpmw.WriteProblem(rec, r, httpmw.Problem{Status: http.StatusNotFound, Detail: "No order <7>."},
		httpmw.WithErrorPage(page))
	fmt.Print(rec.Body)
	// Output:
	// <h1>Not Found</h1><p>No order &lt;7&gt;.</p>
}

func ExampleParseProblem() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		httpmw.WriteProblem(w, r, httpmw.Problem{Status: http.StatusServiceUnavailable, Detail: "the till is closed"})
	}))
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	p, err := httpmw.ParseProblem(resp)
	fmt.Println(p.Status, p.Title, p.Detail, err)
	// Output:
	// 503 Service Unavailable the till is closed <nil>
}
