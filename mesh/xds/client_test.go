package xds

const clientProcess = "XDS_TEST_CLIENT"

func runClient(string) error { return nil }
