// SPDX-License-Identifier: Apache-2.0

package policies_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	lib "github.com/fairlead-go/fairlead/resilience/policies"

	"github.com/fairlead-go/fairlead/examples/shop/policies"
)

const charges = "POST /charges"

// read returns the policies of the order service.
func read(t *testing.T, folder string) *lib.Set {
	t.Helper()
	opts, err := policies.Read(folder, "order")
	if err != nil {
		t.Fatal(err)
	}
	set, err := lib.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestCompiledIn(t *testing.T) {
	if err := policies.Check("", "gateway", "order", "inventory", "payment", "notify"); err != nil {
		t.Fatal(err)
	}
	c := read(t, "").Service("payment").Method(charges)
	if c.Retry == nil || c.Breaker == nil || c.Bulkhead == nil {
		t.Errorf("charges have %+v, want retries, a breaker and a bulkhead", c)
	}
	if gateway, _ := policies.Read("", "gateway"); gateway == nil {
		t.Error("the gateway has no policies")
	}
}

func TestOff(t *testing.T) {
	if c := read(t, policies.Off).Service("payment").Method(charges); *c != (lib.Client{}) {
		t.Errorf("charges have %+v, want no policy", c)
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	if c := read(t, dir).Service("payment").Method(charges); c.Bulkhead == nil {
		t.Error("a folder without a file for the service has not what is compiled in")
	}
	file := filepath.Join(dir, "order.yaml")
	for text, want := range map[string]string{
		"services: {payment: {breaker: off}}": "",
		"services: {payment: {braker: off}}":  `order.yaml:1:22: services.payment.braker: unknown key`,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := policies.Check(dir, "order")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestNoFolder(t *testing.T) {
	if err := policies.Check(filepath.Join(t.TempDir(), "none"), "order"); err == nil {
		t.Error("a folder that is not there is no error")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := policies.Check(file, "order"); err == nil {
		t.Error("a file is taken for a folder")
	}
}
