// SPDX-License-Identifier: Apache-2.0

package fairlead_test

import (
	"net/http"
	"os"
	"runtime"
	"testing"
	"time"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/fairlead-go/fairlead"
	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

// TestNothingIsLeft: services that begin, call each other over both protocols and end
// leave no goroutine, no file, no memory, no registration and no watch behind.
func TestNothingIsLeft(t *testing.T) {
	if testing.Short() {
		t.Skip("300 services")
	}
	registry := memory.New()
	back := mustNew(t, "inventory", fairlead.WithPlaintext(), discard, fairlead.WithoutSignals(), fairlead.WithAdmin(""),
		fairlead.WithGRPC("127.0.0.1:0"), fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithRegistry(registry), fairlead.WithDrainWait(0))
	testgrpc.RegisterTestServiceServer(back.GRPC(), &echo{logger: back.Logger()})
	stopBack := registered(t, back)
	cycle := func() {
		svc := mustNew(t, "order", fairlead.WithPlaintext(), discard, fairlead.WithoutSignals(),
			fairlead.WithGRPC("127.0.0.1:0"), fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithRegistry(registry), fairlead.WithPatrol(),
			fairlead.WithDrainWait(0), fairlead.WithRegistration(discovery.WithLeaveTime(0)))
		stop := registered(t, svc)
		cc, err := svc.Dial("inventory")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := testgrpc.NewTestServiceClient(cc).UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); err != nil {
			t.Fatal(err)
		}
		client, err := svc.HTTPClient("inventory")
		if err != nil {
			t.Fatal(err)
		}
		get(t, client, "http://inventory/livez", http.StatusOK)
		if _, err := svc.MetricsRegistry().Gather(); err != nil {
			t.Fatal(err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	type left struct {
		goroutines, files int
		heap              uint64
	}
	measure := func(most left) left {
		var l left
		// What ends, ends soon.
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			files, _ := os.ReadDir("/proc/self/fd") // where there is one
			l = left{runtime.NumGoroutine(), len(files), m.HeapAlloc}
			if l.goroutines <= most.goroutines && l.files <= most.files && l.heap <= most.heap || time.Now().After(end) {
				return l
			}
		}
	}
	for range 20 {
		cycle()
	}
	before := measure(left{})
	const cycles = 300
	for range cycles {
		cycle()
	}
	most := left{before.goroutines + 10, before.files + 10, before.heap + cycles<<10}
	after := measure(most)
	t.Logf("before %+v, after %+v", before, after)
	if after.goroutines > most.goroutines || after.files > most.files || after.heap > most.heap {
		buf := make([]byte, 1<<16)
		t.Errorf("%+v became %+v\n%s", before, after, buf[:runtime.Stack(buf, true)])
	}
	if n := len(registry.Instances(discovery.Query{Namespace: discovery.DefaultNamespace, Service: "order"})); n != 0 {
		t.Errorf("%d registrations are left", n)
	}
	if err := stopBack(); err != nil {
		t.Error(err)
	}
}
