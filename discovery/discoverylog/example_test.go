// SPDX-License-Identifier: Apache-2.0

package discoverylog_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/discoverylog"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

// One line when an instance is registered and one when it is not any more, and none for
// the heartbeats in between.
func ExampleLog_Discovery() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	log := discoverylog.New(logger) // one for the process

	registrar, err := discovery.NewRegistrar(memory.New(), "dev", discovery.Instance{Service: "order", ID: "one", Address: "10.0.0.7:8443"},
		discovery.WithObserver(log.Discovery()))
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = registrar.Ready(context.Background())
	_ = registrar.Deregister(context.Background())
	// Output:
	// level=INFO msg=registered service=order namespace=dev id=one ttl_ms=15000
	// level=INFO msg=deregistered service=order namespace=dev id=one
}

func sortedCopy(s []string) []string { return slices.Sorted(slices.Values(s)) }
