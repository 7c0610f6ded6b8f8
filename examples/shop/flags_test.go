// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
	"github.com/fairlead-go/fairlead/examples/shop/internal/load"
)

func TestFlags(t *testing.T) {
	for _, tc := range []struct {
		args    string
		wantErr string
	}{
		{"-requests 0 -rate 0 -concurrency 1 -duration 1m -seed 7", ""},
		{"-fail db=slow:20ms,payment=fail:0.2 -processes -otlp -stay", ""},
		{"-fail inventory=slow:1s/0.1,payment=flap:2s/3s,payment=overload:50,payment=retry-after:2s", ""},
		{"-requests -1", "Requests is -1"},
		{"-requests many", "invalid value"},
		{"-rate -1", "Rate is -1"},
		{"-rate NaN", "Rate is NaN"},
		{"-rate 1e9", "must be 0 to 1000000"},
		{"-concurrency 0", "Concurrency is 0"},
		{"-duration -1s", "Duration is -1s"},
		{"-policies off", ""},
		{"-policies no/such/folder", "no such file"},
		{"-fail db", "fault is"},
		{"-fail disk=down", "unknown dependency"},
		{"-registry etcd -scale inventory=3,payment=2 -processes -churn 500ms -outage 2s -namespace shop-here", ""},
		{"-scale order=1 -churn 0", ""},
		{"-churn 0", ""},
		{"-registry consul -processes", ""},
		{"-registry zookeeper", `"zookeeper": must be one of memory, consul, etcd`},
		{"-scale gateway=2", `service "gateway": must be one of payment, inventory, order`},
		{"-scale order", `order="": must be a number from 1 to 20`},
		{"-scale order=0", "must be a number"},
		{"-scale order=21", "must be a number"},
		{"-churn 2s", "-churn needs -scale"},
		{"-scale order=2 -churn -1s", "-churn is -1s"},
		{"-outage -1s", "-outage is -1s"},
		{"-scale order=2 -processes", "-scale with -processes needs -registry consul or etcd"},
		{"-outage 1s -processes", "-outage with -processes needs -registry consul or etcd"},
		{"-namespace Prod/2", "namespace"},
		{"now", `unexpected argument "now"`},
		{"-nonsense", "not defined"},
	} {
		_, err := parseFlags(strings.Fields(tc.args), io.Discard)
		if tc.wantErr == "" && err != nil {
			t.Errorf("%s: %v", tc.args, err)
		}
		if tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)) {
			t.Errorf("%s: %v, want %q", tc.args, err, tc.wantErr)
		}
	}
	if _, err := parseFlags([]string{"-help"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-help: %v", err)
	}
}

func TestFlagsReachTheirPlace(t *testing.T) {
	o, err := parseFlags(strings.Fields("-requests 5 -rate 2.5 -concurrency 3 -duration 1m -seed 7 -fail db=down"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	want := load.Config{Requests: 5, Rate: 2.5, Concurrency: 3, Duration: time.Minute, Seed: 7}
	if diff := cmp.Diff(want, o.load); diff != "" {
		t.Errorf("load (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(chaos.Faults{chaos.DB: {FailRate: 1}}, o.faults); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

func TestChildGetsTheSameFlags(t *testing.T) {
	o, err := parseFlags(strings.Fields("-fail payment=down -policies off -otlp -log x.log -gateway 127.0.0.1:8080 -registry etcd -namespace here -scale order=2,payment=3"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	cmd := o.command("shop", "/data", []string{"ETCD_ENDPOINTS=http://127.0.0.1:1"})("order", "payment=127.0.0.1:2")
	if !slices.Contains(cmd.Env, "ETCD_ENDPOINTS=http://127.0.0.1:1") {
		t.Error("the child does not know where the registry is")
	}
	child, err := parseFlags(cmd.Args[1:], io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	want := o
	want.service, want.peers, want.data = "order", "payment=127.0.0.1:2", "/data"
	if diff := cmp.Diff(want, child, cmp.AllowUnexported(options{})); diff != "" {
		t.Errorf("the child's options (-want +got):\n%s", diff)
	}
}
