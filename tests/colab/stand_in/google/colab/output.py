"""Does what Colab's module does when a figure asks for its widget manager, and counts the requests.

From then on every displayed widget view says, in its metadata, which manager Colab's page has to load.
"""

from types import SimpleNamespace

from IPython import get_ipython

VIEW = "application/vnd.jupyter.widget-view+json"
calls = 0
_widgets = SimpleNamespace(_installed_url=None)


def enable_custom_widget_manager():
    global calls
    calls += 1
    if _widgets._installed_url is None:
        _widgets._installed_url = "https://ssl.gstatic.com/colaboratory-static/manager.min.js"
        get_ipython().display_pub.register_hook(_name_the_manager)


def _name_the_manager(message):
    content = message.get("content") or {}
    if VIEW in content.get("data", {}):
        about = content.setdefault("metadata", {}).setdefault(VIEW, {})
        about["colab"] = {"custom_widget_manager": {"url": _widgets._installed_url}}
    return message
