// SPDX-License-Identifier: Apache-2.0

package httpresolver

import (
	"context"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/internal/observe"
)

// Observer is told what happens to requests. Every function is optional. They are called
// on the goroutine of the request, outside of any lock, and must not block.
type Observer struct {
	// Picked is called before a request is sent to an instance. With ctx, which is the
	// request's, what is made of the request can be told where it goes:
	//
	//	Picked: func(ctx context.Context, p httpresolver.Picked) {
	//		ctxutil.Add(ctx, slog.String("server.instance", p.Instance.ID))
	//	}
	Picked func(ctx context.Context, p Picked)
	// Unpicked is called when a request fails because there is no instance for it.
	Unpicked func(ctx context.Context, u Unpicked)
}

// Picked is an instance that a request is about to be sent to.
type Picked struct {
	// Instance is not to be changed.
	Instance *discovery.Instance
	// Try is 1, and one more for each instance that this request could not be sent to
	// because there was no connection.
	Try int
}

// Unpicked is a request that there is no instance for.
type Unpicked struct {
	Query discovery.Query
	Err   error
}

// observers returns one that tells both.
func observers(a, b Observer) Observer {
	return Observer{Picked: observe.BothWith(a.Picked, b.Picked), Unpicked: observe.BothWith(a.Unpicked, b.Unpicked)}
}
