// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience/fallback"
)

// A request that fails is answered with what is known from before, and the answer says so.
func ExampleFallbackTransport() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer srv.Close()
	popular, err := fallback.New("popular", fallback.Value(httpmw.Reply{
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   []byte(`["anchor","rope"]`),
	}))
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: httpmw.ChainTransport(srv.Client().Transport,
		httpmw.FallbackTransport(popular, "GET /recommendations/{user}"))}

	for _, path := range []string{"/recommendations/ada", "/orders/7"} {
		resp, err := client.Get(srv.URL + path)
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		fmt.Printf("%s %s %q\n", resp.Status, body, resp.Header.Get(httpmw.HeaderDegraded))
	}
	// Output:
	// 200 OK ["anchor","rope"] "true"
	// 503 Service Unavailable  ""
}
