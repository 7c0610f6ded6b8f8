// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"context"
	"net/http"

	"github.com/fairlead-go/fairlead/internal/respwriter"
	"github.com/fairlead-go/fairlead/resilience"
)

// Pool returns the connection pool at the bottom of a client of NewClient.
func Pool(c *http.Client) *http.Transport { return c.Transport.(*pooledTransport).pool }

// PushbackOf is what adapters of policies ask about answers.
var PushbackOf = pushbackOf

// OutcomeOfAnswer is what an answer of that status means, or one of which nothing was
// written if code is 0.
func OutcomeOfAnswer(ctx context.Context, w http.ResponseWriter, code int) resilience.Outcome {
	var rw respwriter.Writer
	rw.Init(w)
	if code != 0 {
		rw.WriteHeader(code)
	}
	return outcomeOfAnswer(ctx, &rw)
}
