// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
	"github.com/fairlead-go/fairlead/metrics"
)

// One observer is for all of discovery; what is a state is looked up at each scrape.
func ExampleSet_Discovery() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	reg := prometheus.NewRegistry()
	set, err := metrics.New(reg)
	if err != nil {
		fmt.Println(err)
		return
	}
	registry, told := memory.New(), discovery.WithObserver(set.Discovery())
	registrar, err := discovery.NewRegistrar(registry, "dev", discovery.Instance{Service: "stock", Address: "10.0.0.7:8443"}, told)
	if err != nil {
		fmt.Println(err)
		return
	}
	set.CollectRegistrar(registrar.Status)
	if err := registrar.Ready(ctx); err != nil {
		fmt.Println(err)
		return
	}
	printLines(metrics.Handler(reg), `fairlead_registration_state{name="stock",state="visible"}`)
	_ = registrar.Deregister(ctx)
	// Output:
	// fairlead_registration_state{name="stock",state="visible"} 1.0
}
