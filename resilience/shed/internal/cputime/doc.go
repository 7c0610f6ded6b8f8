// SPDX-License-Identifier: Apache-2.0

// Package cputime reads how much CPU time a process has used and how much it may
// use. What it parses is the kernel's, in formats of proc(5), cgroups(7) and the
// kernel's documentation of cgroup v1 and v2; inside a container it may be missing,
// or of some other kernel's making, so that nothing in it is taken for granted.
package cputime
