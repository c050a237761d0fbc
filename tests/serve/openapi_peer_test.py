# labels: peers
"""schemathesis (PyPI) reads /openapi.json, makes up requests that fit it and requests that do not, and
holds every answer against what is promised. The seed is fixed, the number of requests bounded."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import peers

peers.need("schemathesis")

from live_server import Server, chat_request

KEY = "sk-secret"
# Left out: what is about resources that are made and deleted (there are none), and acceptance of
# all that fits the schema: whether a text fits the context, or a model is there, no schema can say.
LEFT_OUT = "use_after_free,ensure_resource_availability,object_level_authorization,positive_data_acceptance"


class OpenApiTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--api-key", KEY)
        cls.addClassCleanup(cls.server.close)

    def test_every_endpoint_is_described(self):
        described = self.server.get_json("/openapi.json")
        self.assertTrue(described["openapi"].startswith("3."))
        paths = {(method, path) for path, item in described["paths"].items() for method in item}
        for method, path in (("get", "/v1/models"), ("get", "/v1/models/{model}"), ("post", "/v1/chat/completions"), ("post", "/v1/completions"),
                             ("post", "/chat/completions"), ("get", "/health"), ("get", "/stats"), ("get", "/metrics"), ("get", "/api/info"),
                             ("get", "/api/runs"), ("get", "/api/runs/{stage}/{tag}/metrics"), ("post", "/api/tokenize"), ("post", "/api/next")):
            self.assertIn((method, path), paths)

    def test_answers_are_as_described_whatever_is_asked(self):
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder, "report.json")
            done = subprocess.run(
                [sys.executable, "-m", "schemathesis.cli", "run", self.server.url + "openapi.json", "--header", f"Authorization: Bearer {KEY}",
                 "--checks", "all", "--exclude-checks", LEFT_OUT, "--seed", "7", "--max-examples", os.environ.get("NANOCHAT_PEERS_EXAMPLES", "60"),
                 "--phases", "examples,coverage,fuzzing", "--request-timeout", "60", "--suppress-health-check", "all", "--no-color",
                 "--report", "json", "--report-json-path", str(report)],
                capture_output=True, text=True, check=False, cwd=folder)
            self.assertTrue(report.exists(), done.stdout[-4000:] + done.stderr[-4000:])
        self.assertEqual(done.returncode, 0, done.stdout[-12000:] + done.stderr[-2000:])
        self.assertIsNone(self.server.process.poll(), self.server.logged()[-2000:])
        answer = self.server.post_json("/v1/chat/completions", chat_request("Hello"), Authorization=f"Bearer {KEY}")
        self.assertEqual(answer["choices"][0]["message"]["role"], "assistant")


if __name__ == "__main__":
    unittest.main()
