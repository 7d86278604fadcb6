"Reads requirements and entry points from settings.ini; everything else stands in pyproject.toml."
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

ini = ConfigParser()
ini.read_string((Path(__file__).parent/'settings.ini').read_text(encoding='utf-8'))
lines = lambda section: {k: v.split('\n')[1:] for k, v in ini[section].items()}
extras = lines('requirements')
setup(install_requires=extras.pop('install'), extras_require=extras, entry_points=lines('entry_points'))
