// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"io"
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
	o, err := parseFlags(strings.Fields("-fail payment=down -policies off -otlp -log x.log -gateway 127.0.0.1:8080"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	cmd := o.command("shop", "/data")("order", `{"payment":{}}`)
	child, err := parseFlags(cmd.Args[1:], io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	want := o
	want.service, want.peers, want.data = "order", `{"payment":{}}`, "/data"
	if diff := cmp.Diff(want, child, cmp.AllowUnexported(options{})); diff != "" {
		t.Errorf("the child's options (-want +got):\n%s", diff)
	}
}
