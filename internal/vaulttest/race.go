// SPDX-License-Identifier: MPL-2.0

//go:build race

package vaulttest

const raceDetector = true
